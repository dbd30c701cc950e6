"""CloudFormation templates as plain values: read, and with their functions worked out.

What exists only once a stack does, such as an ARN, becomes a name in capitals, as a person would write
it into a file that others are to fill in.
"""

import re

import yaml

PSEUDO = {
    "AWS::AccountId": "ACCOUNT",
    "AWS::Region": "REGION",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
MADE = {  # what Ref or GetAtt of a resource gives
    "AccessPoint": "ACCESS_POINT",
    "AccessPoint.Arn": "arn:aws:elasticfilesystem:REGION:ACCOUNT:access-point/ACCESS_POINT",
    "BackupBucket": "BUCKET",
    "BackupBucket.Arn": "arn:aws:s3:::BUCKET",
    "BackupRole.Arn": "arn:aws:iam::ACCOUNT:role/BACKUP_ROLE",
    "Cluster": "CLUSTER",
    "Cluster.Arn": "arn:aws:ecs:REGION:ACCOUNT:cluster/CLUSTER",
    "ExecutionRole.Arn": "arn:aws:iam::ACCOUNT:role/EXECUTION_ROLE",
    "FileSystem": "FILE_SYSTEM",
    "FileSystem.Arn": "arn:aws:elasticfilesystem:REGION:ACCOUNT:file-system/FILE_SYSTEM",
    "JobTask": "arn:aws:ecs:REGION:ACCOUNT:task-definition/JOB",
    "LogGroup": "LOG_GROUP",
    "LogGroup.Arn": "arn:aws:logs:REGION:ACCOUNT:log-group:LOG_GROUP:*",
    "TokenSecret": "arn:aws:secretsmanager:REGION:ACCOUNT:secret:TOKEN_SECRET",
    "TaskRole.Arn": "arn:aws:iam::ACCOUNT:role/TASK_ROLE",
}
NOTHING = object()  # AWS::NoValue: the member is not there


class Loader(yaml.SafeLoader):  # pylint: disable=too-many-ancestors
    """Takes !Ref and its like; refuses aliases, which CloudFormation does not have."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise ValueError(f"an alias in line {self.peek_event().start_mark.line + 1}")
        return super().compose_node(parent, index)


def _function(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _function)


class Template:
    """One template with the values of its parameters, of which `given` overrides the defaults."""

    def __init__(self, path, **given):
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        self.raw = yaml.load(self.text, Loader)  # nosec: a subclass of SafeLoader
        self.values = dict(PSEUDO)
        for name, parameter in self.raw.get("Parameters", {}).items():
            self.values[name] = given.get(name, parameter.get("Default", name))
        unknown = set(given) - set(self.raw.get("Parameters", {}))
        assert not unknown, f"{path} has no parameters {unknown}"
        conditions = self.raw.get("Conditions", {})
        self.conditions = {name: self._holds(rule) for name, rule in conditions.items()}
        self.resources = {
            name: self._resolve(resource)
            for name, resource in self.raw["Resources"].items()
            if self.conditions.get(resource.get("Condition"), True)
        }

    def properties(self, name):
        """What one resource has, worked out."""
        return self.resources[name].get("Properties", {})

    def of_type(self, kind):
        """Name and properties of all resources of a type, without AWS::."""
        return {name: self.properties(name) for name, resource in self.resources.items()
                if resource["Type"] == f"AWS::{kind}"}

    def _holds(self, rule):
        (function, value), = rule.items()
        if function == "Fn::Equals":
            return self._resolve(value[0]) == self._resolve(value[1])
        assert function == "Fn::Not", function
        return not self._holds(value[0])

    def _ref(self, name):
        if name == "AWS::NoValue":
            return NOTHING
        return self.values.get(name, MADE.get(name, name))

    def _substitute(self, value):
        text, more = value if isinstance(value, list) else (value, {})
        more = {name: self._resolve(each) for name, each in more.items()}
        return re.sub(r"\$\{([^}!]+)\}",
                      lambda found: str(more.get(found[1], self._ref(found[1]))), text)

    def _resolve(self, value):
        if isinstance(value, list):
            return [each for each in map(self._resolve, value) if each is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            if function == "Ref":
                return self._ref(argument)
            if function == "Fn::Sub":
                return self._substitute(argument)
            if function == "Fn::GetAtt":
                return self._ref(".".join(argument))
            if function == "Fn::If":
                return self._resolve(argument[1 if self.conditions[argument[0]] else 2])
            if function == "Fn::FindInMap":
                name, first, second = map(self._resolve, argument)
                return self.raw["Mappings"][name][first][second]
            assert not function.startswith("Fn::"), f"{function} is not known here"
        resolved = {name: self._resolve(each) for name, each in value.items()}
        return {name: each for name, each in resolved.items() if each is not NOTHING}
