"""What the tests of clients share: a store for all tests of a client, the row of the page, the command line."""

import argparse
import sys
import unittest

import page
from processes import Satcheld

OPTIONS = None  # of the command line; set by run()


class ClientTest:
    """The tests of one client, beside unittest.TestCase. `name` is that of the client's test."""

    name = None

    @classmethod
    def setUpClass(cls):
        cls.store = Satcheld(OPTIONS.satcheld)
        cls.enter(cls.store)

    @classmethod
    def enter(cls, program):
        """Starts a program that ends with the tests."""
        cls.addClassCleanup(program.__exit__, None, None, None)
        return program.__enter__()

    def row(self):
        """What the page says of this client: its name and version, what uses it, and how that goes."""
        raise NotImplementedError

    def test_the_page_says_what_ran(self):
        page.keep(self.name, self.row(), OPTIONS.write)


def run(tests, description, *options):
    """Runs the tests of the clients that the command line names, or of all. `tests`: by client, a class."""
    global OPTIONS  # pylint: disable=global-statement
    parser = argparse.ArgumentParser(description=description)
    for option in ("--satcheld", *options):
        parser.add_argument(option, required=True)
    parser.add_argument("--write", action="store_true", help="write the rows of the page")
    parser.add_argument("client", nargs="*", choices=[[], *tests])
    OPTIONS = parser.parse_args()
    suite = unittest.TestSuite()
    for name in OPTIONS.client or tests:
        case = type(name, (tests[name], unittest.TestCase), {"name": name})
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
