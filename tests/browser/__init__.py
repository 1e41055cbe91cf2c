"""The console in a real browser, headless Chromium, over the demo ledger behind a real socket."""
