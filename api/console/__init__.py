"""The console: pages for people who look instead of querying.

A page is an address that says everything (what is looked at, as known when), a template, and the answers of the API
that it shows: it asks the service by api/in_process as any client would, so its figures are the API's, and nobody sees
on a page what a program of theirs could not read. Pages work without JavaScript; what a form records carries the key
of the form that was shown, so that sending it twice records once.

    shell      what pages share: who looks, as known when, refusals, what a page is made of
    amounts    how figures are written, and the charts above their tables
    remedies   what a refusal tells somebody who has a page before them
    others     one module for each question, with its templates under templates/console/
"""

from typing import Final

PREFIX: Final = "/console"
