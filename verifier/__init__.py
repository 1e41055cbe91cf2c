"""Verify an exported bundle of a ledger without trusting who exported it.

Written to be read by an auditor. It uses the standard library and `cryptography` only, none of the service's code, no
network and no database: what it says follows from the bundle's files and the key that the auditor brings.

Where to look: checks (what is checked, in order), merkle and notes (the proofs), documents (what an event holds),
orders, facts and rules (what events mean), figures and closings (what follows from them), recomputation (figures from
the events alone), statements and views (what the bundle says they are), agreement (that it is the same).
"""
