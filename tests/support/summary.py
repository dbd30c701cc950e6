"""The line of JSON with which every administrative command ends when it is asked for it."""

import json


def take_summary(told, command, code):
    """The object on the last line of what `satchel COMMAND --json` wrote to standard output, after
    a look at what is the same for all commands."""
    assert told.endswith("\n"), told
    summary = json.loads(told.splitlines()[-1])
    keys = list(summary)[:4]
    assert keys == ["command", "ok", "exit_code", "seconds"], keys
    assert summary["command"] == command, summary
    assert summary["exit_code"] == code and summary["ok"] is (code == 0), summary
    assert summary["seconds"] >= 0, summary
    assert code < 2 or summary["error"], summary  # why it was not done
    return summary
