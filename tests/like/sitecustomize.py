"""Python processes that the tests start are like what the tests are like."""

import os

if os.environ.get("GENZOO_TESTS_LIKE") == "windows":
    import windows

    windows.begin()
