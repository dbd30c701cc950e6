#!/usr/bin/env python3
"""json_files.py DEPLOY [--write]: the JSON files of deploy/ are what satchel.yaml says.

They are for those who do not use CloudFormation: the task definition as `aws ecs
register-task-definition --cli-input-json` takes it, and the roles' policies. Without --write a file that
says something else fails; with it, all are written anew.
"""

import json
import pathlib
import sys

from template import Template

POLICIES = {"execution-role": "ExecutionRole", "task-role": "TaskRole", "backup-role": "BackupRole",
            "scheduler-role": "SchedulerRole"}
OTHER_NAMES = {"FilesystemId": "fileSystemId", "EFSVolumeConfiguration": "efsVolumeConfiguration",
               "IAM": "iam"}


def as_api(value):
    """The members as the API calls them, which begins them in lower case."""
    if isinstance(value, list):
        return [as_api(each) for each in value]
    if not isinstance(value, dict):
        return value
    # The options of a log driver have names of their own.
    return {OTHER_NAMES.get(name, name[0].lower() + name[1:]):
            each if name == "Options" else as_api(each) for name, each in value.items()}


def wanted(deploy):
    """The content of each file by its path."""
    template = Template(deploy / "satchel.yaml")
    files = {"task-definition.json": as_api(template.properties("StoreTask"))}
    for file, role in POLICIES.items():
        policy, = template.properties(role)["Policies"]
        files[f"iam/{file}.json"] = policy["PolicyDocument"]
    return {path: json.dumps(content, indent=2) + "\n" for path, content in files.items()}


def main():
    deploy = pathlib.Path(sys.argv[1])
    files = wanted(deploy)
    if "--write" in sys.argv[2:]:
        for path, text in files.items():
            (deploy / path).write_text(text, encoding="utf-8")
        return 0
    found = {str(path.relative_to(deploy)) for path in deploy.rglob("*.json")}
    wrong = sorted(found ^ set(files))
    for path in sorted(found & set(files)):
        if (deploy / path).read_text(encoding="utf-8") != files[path]:
            wrong.append(path)
    for path in wrong:
        print(f"deploy/{path} is not what satchel.yaml says; tests/deploy/json_files.py deploy --write")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
