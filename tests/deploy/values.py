#!/usr/bin/env python3
"""values.py ROOT --satcheld PROGRAM --satchel PROGRAM --cart PROGRAM: what matters in deploy/ is as it
has to be, and names only what the programs, the image and the metrics really have.
"""

import argparse
import json
import pathlib
import re
import sys
import unittest

import yaml

import known
from template import Template

ARGUMENTS = argparse.Namespace()
# Parameters that turn on everything that is optional.
ALL = {"LoadBalancer": "yes", "AlarmEmail": "a@example.org", "WebServiceName": "cart"}
FARGATE_MIB = {"256": (512, 2048), "512": (1024, 4096), "1024": (2048, 8192), "2048": (4096, 16384),
               "4096": (8192, 30720)}
# What the cart sends (docs/app-metrics.md).
WEB_METRICS = {"RequestCount", "Latency", "http_request_count", "http_5xx_errors", "request_latency_ms",
               "db_query_duration_ms", "user_signup_total", "payment_failure_count"}
TOKEN_SECRET = "arn:aws:secretsmanager:REGION:ACCOUNT:secret:TOKEN_SECRET"
# IAM knows no resources for these.
WITHOUT_RESOURCE = re.compile("ecr:GetAuthorizationToken|elasticloadbalancing:Describe[A-Za-z]+")


def as_list(value):
    return value if isinstance(value, list) else [value]


def environment(container):
    return {each["Name"]: each["Value"] for each in container.get("Environment", [])}


def secrets(container):
    return {each["Name"]: each["ValueFrom"] for each in container.get("Secrets", [])}


class Values(unittest.TestCase):
    """One template, with everything and with nothing that is optional."""

    @classmethod
    def setUpClass(cls):
        deploy = pathlib.Path(ARGUMENTS.root) / "deploy"
        cls.least = Template(deploy / "satchel.yaml")
        cls.most = Template(deploy / "satchel.yaml", **ALL)
        cls.web = Template(deploy / "blue-green.yaml")
        cls.repository = Template(deploy / "repository.yaml")
        cls.templates = [cls.least, cls.most, cls.web, cls.repository]
        cls.rows = known.metrics(pathlib.Path(ARGUMENTS.root) / "server")
        cls.rules = yaml.safe_load((deploy / "prometheus/rules.yaml").read_text(encoding="utf-8"))
        dockerfile = pathlib.Path(ARGUMENTS.root) / "Dockerfile"
        cls.image = known.Image(dockerfile, "runtime")
        cls.cart_image = known.Image(dockerfile, "cart")
        cls.store = cls.most.properties("StoreTask")
        cls.container, = cls.store["ContainerDefinitions"]

    def containers(self):
        for template in self.templates:
            for task in template.of_type("ECS::TaskDefinition").values():
                yield from task["ContainerDefinitions"]

    def statements(self):
        for template in self.templates:
            for role in template.of_type("IAM::Role").values():
                for policy in role["Policies"]:
                    yield from policy["PolicyDocument"]["Statement"]

    # ---- Least privilege ------------------------------------------------------------------------

    def test_no_role_may_do_everything_of_a_kind(self):
        for statement in self.statements():
            self.assertEqual(statement["Effect"], "Allow")
            for action in as_list(statement["Action"]):
                self.assertRegex(action, r"^[a-z0-9]+:[A-Za-z]+$", "an action is named in full")
                if not WITHOUT_RESOURCE.fullmatch(action):
                    self.assertNotIn("*", as_list(statement["Resource"]), action)

    def test_only_the_store_deletes_backups(self):
        resource = "arn:aws:s3:::BUCKET/satchel/"
        for role, wanted in (("TaskRole", "*"), ("BackupRole", "hold/*")):
            policy, = self.most.properties(role)["Policies"]
            deletes = [each["Resource"] for each in policy["PolicyDocument"]["Statement"]
                       if "s3:DeleteObject" in each["Action"]]
            self.assertEqual(deletes, [resource + wanted])

    def test_the_store_mounts_through_its_access_point_only_and_is_not_root(self):
        policy, = self.most.properties("TaskRole")["Policies"]
        mount, = [each for each in policy["PolicyDocument"]["Statement"] if each["Sid"] == "Sessions"]
        self.assertEqual(mount["Action"], ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"])
        self.assertIn("elasticfilesystem:AccessPointArn", mount["Condition"]["StringEquals"])

    def test_nobody_but_clients_reaches_sessions(self):
        group = self.most.properties("StoreSecurityGroup")
        sessions = [each["SourceSecurityGroupId"] for each in group["SecurityGroupIngress"]
                    if each["FromPort"] <= 7401 <= each["ToPort"]]
        self.assertEqual(sessions, ["ClientSecurityGroup", "BalancerSecurityGroup"])
        for name, each in self.most.of_type("EC2::SecurityGroup").items():
            for rule in each.get("SecurityGroupIngress", []):
                self.assertNotIn("CidrIp", rule, name)

    # ---- The token ------------------------------------------------------------------------------

    def test_the_token_is_a_secret_that_the_stack_makes(self):
        generated = self.most.properties("TokenSecret")["GenerateSecretString"]
        self.assertNotIn("SecretString", self.most.properties("TokenSecret"))
        self.assertGreaterEqual(generated["PasswordLength"], 32)
        self.assertIs(generated["ExcludePunctuation"], True)

    def test_store_and_web_tasks_get_the_token_as_a_secret_and_nobody_else_does(self):
        got = {container["Name"]: secrets(container) for container in self.containers()}
        self.assertEqual(got, {"store": {"SATCHEL_TOKEN": TOKEN_SECRET}, "job": {},
                               "web": {"CART_TOKEN": "TokenArn"}})
        for container in self.containers():
            for name in environment(container):
                self.assertNotRegex(name, "TOKEN", "neither the token in plain text, nor none at all")

    def test_only_ecs_reads_the_token_and_no_other_secret(self):
        for template in self.templates:
            for name, role in template.of_type("IAM::Role").items():
                policy, = role["Policies"]
                reads = [each for each in policy["PolicyDocument"]["Statement"]
                         if "secretsmanager:" in str(each["Action"]) or "kms:" in str(each["Action"])]
                wanted = [{"Sid": "Token", "Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
                           "Resource": TOKEN_SECRET}] if name == "ExecutionRole" else []
                self.assertEqual(reads, wanted, name)

    # ---- The container --------------------------------------------------------------------------

    def test_containers_have_no_rights_that_they_do_not_need(self):
        for container in self.containers():
            self.assertIs(container["ReadonlyRootFilesystem"], True)
            self.assertEqual(container["LinuxParameters"]["Capabilities"], {"Drop": ["ALL"]})
            self.assertNotIn("Privileged", container)
            self.assertEqual(container["User"], "10001:10001")
            options = container["LogConfiguration"]["Options"]
            self.assertEqual(options["mode"], "non-blocking")

    def test_the_store_has_time_to_stop(self):
        self.assertEqual(self.container["StopTimeout"], 120)
        longest = self.most.raw["Parameters"]["SnapshotAtExitSeconds"]["MaxValue"]
        self.assertLess(longest + 10, self.container["StopTimeout"])

    def test_the_health_check_needs_no_shell_and_tells_only_whether_the_process_lives(self):
        command = self.container["HealthCheck"]["Command"]
        self.assertEqual(command, ["CMD", "/usr/bin/satchel", "health", "--live"])
        self.assertIn("--live", known.options(known.help_of(ARGUMENTS.satchel, "health")))

    def test_every_variable_is_one_that_the_program_knows(self):
        cases = ((self.most, "StoreTask", known.help_of(ARGUMENTS.satcheld)),
                 (self.most, "JobTask", known.help_of(ARGUMENTS.satchel, "backup", "now") +
                  known.help_of(ARGUMENTS.satchel, "backup", "verify")),
                 (self.web, "Task", known.help_of(ARGUMENTS.cart)))
        for template, task, told in cases:
            for container in template.properties(task)["ContainerDefinitions"]:
                used = {name for name in environment(container) if not name.startswith("AWS_EMF_")}
                used |= set(secrets(container))
                self.assertEqual(used - known.variables(told), set(), task)

    def test_every_command_is_one_that_the_program_knows(self):
        for schedule in self.most.of_type("Scheduler::Schedule").values():
            override, = json.loads(schedule["Target"]["Input"])["containerOverrides"]
            job, = self.most.properties("JobTask")["ContainerDefinitions"]
            self.assertEqual(override["name"], job["Name"])
            used = known.options(" ".join(override["command"]))
            told = known.options(known.help_of(ARGUMENTS.satchel, *override["command"][:2]))
            self.assertEqual(used - told, set())

    def test_ports_paths_programs_and_user_are_those_of_the_image(self):
        self.assertEqual({each["ContainerPort"] for each in self.container["PortMappings"]},
                         self.image.ports)
        self.assertEqual(self.container["User"], self.image.user)
        for name, value in self.image.environment.items():
            if name == "PATH":
                continue  # the image's own, and the template names programs by their paths
            self.assertEqual(environment(self.container).get(name), value, name)
        mounts = {each["SourceVolume"]: each["ContainerPath"] for each in self.container["MountPoints"]}
        self.assertEqual(mounts, {"data": self.image.environment["SATCHEL_DATA"],
                                  "run": self.image.environment["SATCHEL_RUN_DIR"]})
        self.assertIn(mounts["run"], self.image.volumes, "or it belongs to root")
        self.assertIn(self.container["HealthCheck"]["Command"][1], self.image.programs)
        web, = self.web.properties("Task")["ContainerDefinitions"]
        self.assertEqual({each["ContainerPort"] for each in web["PortMappings"]}, self.cart_image.ports)
        self.assertEqual(web["User"], self.cart_image.user)

    def test_sizes_are_ones_that_fargate_has_and_sessions_get_half(self):
        for size in self.most.raw["Mappings"]["Sizes"].values():
            least, most = FARGATE_MIB[size["Cpu"]]
            self.assertTrue(least <= int(size["Memory"]) <= most, size)
            self.assertEqual(int(size["Sessions"].removesuffix("g")) * 1024 * 2, int(size["Memory"]))
        self.assertEqual(self.most.raw["Parameters"]["CpuArchitecture"]["AllowedValues"],
                         ["ARM64", "X86_64"])

    # ---- One owner ------------------------------------------------------------------------------

    def test_there_is_one_store_and_a_successor_can_always_follow(self):
        for template, percents in ((self.least, (100, 200)), (self.most, (0, 100))):
            service = template.properties("Service")
            deployment = service["DeploymentConfiguration"]
            self.assertEqual(service["DesiredCount"], 1)
            self.assertEqual(service["LaunchType"], "FARGATE")
            self.assertEqual((deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]), percents)
            self.assertEqual(deployment["DeploymentCircuitBreaker"], {"Enable": True, "Rollback": True})
            self.assertEqual(service["AvailabilityZoneRebalancing"], "DISABLED")
        self.assertEqual(environment(self.container)["SATCHEL_WAIT"], "yes")
        self.assertEqual(environment(self.container)["SATCHEL_TASK_PROTECTION"], "never")

    def test_the_load_balancer_asks_who_is_ready_and_lets_go_soon(self):
        target = self.most.properties("Target")
        self.assertEqual((target["HealthCheckPath"], target["HealthCheckPort"]), ("/readyz", "7402"))
        attributes = {each["Key"]: each["Value"] for each in target["TargetGroupAttributes"]}
        self.assertEqual(attributes["deregistration_delay.timeout_seconds"], "10")

    def test_only_the_web_tasks_are_blue_and_green(self):
        deployment = self.web.properties("Service")["DeploymentConfiguration"]
        self.assertEqual(deployment["Strategy"], "BLUE_GREEN")
        self.assertIs(deployment["Alarms"]["Rollback"], True)
        for template in (self.least, self.most):
            self.assertNotIn("Strategy", template.properties("Service")["DeploymentConfiguration"])

    # ---- Files and backups ----------------------------------------------------------------------

    def test_the_file_system_is_encrypted_elastic_and_never_moved_to_slow_storage(self):
        system = self.most.properties("FileSystem")
        self.assertIs(system["Encrypted"], True)
        self.assertEqual(system["ThroughputMode"], "elastic")
        self.assertNotIn("LifecyclePolicies", system)
        deny, = system["FileSystemPolicy"]["Statement"]
        self.assertEqual(deny["Effect"], "Deny")
        self.assertEqual(deny["Condition"], {"Bool": {"aws:SecureTransport": "false"}})
        volume = self.store["Volumes"][0]["EFSVolumeConfiguration"]
        self.assertEqual(volume["TransitEncryption"], "ENABLED")
        self.assertEqual(volume["AuthorizationConfig"], {"AccessPointId": "ACCESS_POINT", "IAM": "ENABLED"})
        self.assertEqual(self.most.properties("AccessPoint")["PosixUser"], {"Uid": "10001", "Gid": "10001"})
        self.assertEqual(len(self.most.of_type("EFS::MountTarget")), 2)

    def test_the_bucket_is_private_encrypted_and_keeps_what_the_store_keeps(self):
        bucket = self.most.properties("BackupBucket")
        self.assertEqual(set(bucket["PublicAccessBlockConfiguration"].values()), {True})
        self.assertEqual(len(bucket["PublicAccessBlockConfiguration"]), 4)
        self.assertIn("BucketEncryption", bucket)
        rule, = bucket["LifecycleConfiguration"]["Rules"]
        self.assertEqual(rule["AbortIncompleteMultipartUpload"], {"DaysAfterInitiation": 1})
        self.assertFalse([each for each in rule if "Expiration" in each or "Transition" in each])
        for policy in self.most.of_type("S3::BucketPolicy").values():
            self.assertEqual({each["Effect"] for each in policy["PolicyDocument"]["Statement"]}, {"Deny"})

    def test_what_cannot_be_made_again_outlives_the_stack(self):
        for name in ("FileSystem", "BackupBucket"):
            self.assertEqual(self.most.resources[name]["DeletionPolicy"], "Retain")
            self.assertEqual(self.most.resources[name]["UpdateReplacePolicy"], "Retain")
        self.assertEqual(self.repository.properties("Images")["ImageScanningConfiguration"],
                         {"ScanOnPush": True})

    # ---- Alarms ---------------------------------------------------------------------------------

    def test_alarms_have_the_thresholds_that_were_promised(self):
        #  name            threshold, periods, statistic, comparison, without data
        wanted = {
            "NobodyServes": (1, 2, "Maximum", "LessThanThreshold", "breaching"),
            "SlowReads": (500000, 3, "p99", "GreaterThanThreshold", "notBreaching"),
            "SlowAnswers": (500000, 3, "p99", "GreaterThanThreshold", "notBreaching"),
            "Errors": (5, 1, "Sum", "GreaterThanThreshold", "notBreaching"),
            "BackupBehind": (60, 5, "Maximum", "GreaterThanThreshold", "breaching"),
            "BackupTooOld": (2, 3, None, "GreaterThanThreshold", "breaching"),
            "Memory": (85, 3, "Maximum", "GreaterThanThreshold", "notBreaching"),
            "WebErrors": (5, 1, "Sum", "GreaterThanThreshold", "notBreaching"),
            "WebSlow": (500, 3, "p99", "GreaterThanThreshold", "notBreaching"),
        }
        alarms = self.most.of_type("CloudWatch::Alarm")
        self.assertEqual(set(alarms), set(wanted))
        for name, alarm in alarms.items():
            self.assertEqual((alarm["Threshold"], alarm["EvaluationPeriods"],
                              alarm.get("Statistic", alarm.get("ExtendedStatistic")),
                              alarm["ComparisonOperator"], alarm["TreatMissingData"]), wanted[name], name)
            self.assertEqual(alarm["AlarmActions"], ["AlarmTopic"], name)
            self.assertEqual(alarm.get("Period", 60), 60, name)

    def test_every_metric_in_alarms_dashboard_and_scaling_exists(self):
        have = {"Satchel": known.cloudwatch_names(self.rows), "MyApp/Fargate": WEB_METRICS,
                "AWS/ECS": {"CPUUtilization", "MemoryUtilization"}}
        used = set()
        for template in (self.most, self.web):
            for found in self.members(template.resources, "MetricName"):
                used.add((found["Namespace"], found["MetricName"]))
        for widget in json.loads(self.most.properties("Dashboard")["DashboardBody"])["widgets"]:
            namespace, name = "", ""
            for metric in widget["properties"].get("metrics", []):
                if metric[0] != "...": # which repeats all of the one before
                    namespace = metric[0] if metric[0] != "." else namespace
                    name = metric[1]
                used.add((namespace, name))
        self.assertGreater(len(used), 15)
        for namespace, name in used:
            self.assertIn(name, have[namespace])

    def test_every_metric_in_the_rules_exists(self):
        have = known.prometheus_names(self.rows)
        for rule in self.rules["groups"][0]["rules"]:
            used = set(re.findall(r"\b(?:satchel|process)_\w+", rule["expr"]))
            self.assertTrue(used, rule["alert"])
            self.assertEqual(used - have, set(), rule["alert"])

    def test_web_tasks_are_scaled_by_what_each_of_them_has_to_do(self):
        policy = self.most.properties("WebTracking")["TargetTrackingScalingPolicyConfiguration"]
        metrics = policy["CustomizedMetricSpecification"]["Metrics"]
        returned, = [each for each in metrics if each["ReturnData"]]
        self.assertEqual(returned["Expression"], "requests / tasks")
        self.assertNotIn("WebTracking", self.least.resources)

    def members(self, value, name):
        """Every mapping that has a member of that name."""
        if isinstance(value, dict):
            if name in value:
                yield value
            for each in value.values():
                yield from self.members(each, name)
        elif isinstance(value, list):
            for each in value:
                yield from self.members(each, name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    for program in ("satcheld", "satchel", "cart"):
        parser.add_argument(f"--{program}", required=True)
    ARGUMENTS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
