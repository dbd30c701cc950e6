#!/usr/bin/env python3
"""can_fail.py ROOT --satcheld PROGRAM …: each mistake, made in a copy of deploy/, is found by the test
that is there for it.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# test of values.py: file, what stands there, what is put in its place (all of them)
MISTAKES = """
no_role_may_do_everything|satchel|elasticfilesystem:ClientWrite\\n                Resource: !Get|elasticfilesystem:*\\n                Resource: !Get
no_role_may_do_everything|satchel|"${BackupBucket.Arn}/${ServiceName}/*"|"*"
only_the_store_deletes|satchel|/hold/*|/*
the_store_mounts_through|satchel|elasticfilesystem:AccessPointArn|aws:PrincipalArn
nobody_but_clients_reaches|satchel|SourceSecurityGroupId: !Ref ClientSecurityGroup|CidrIp: 0.0.0.0/0
the_token_is_a_secret|satchel|PasswordLength: 48|PasswordLength: 8
the_token_is_a_secret|satchel|GenerateSecretString: {|SecretString: correct-horse-battery-staple\\n      GenerateSecretString: {
the_token_is_a_secret|satchel|ExcludePunctuation: true|ExcludePunctuation: false
store_and_web_tasks_get|satchel|{Name: SATCHEL_TOKEN, ValueFrom: !Ref TokenSecret}|{Name: SATCHEL_TOKEN, ValueFrom: !Ref FileSystem}
store_and_web_tasks_get|satchel|          Environment:\\n            - {Name: SATCHEL_DATA|          Environment:\\n            - {Name: SATCHEL_ALLOW_NETWORK_WITHOUT_TOKEN, Value: "yes"}\\n            - {Name: SATCHEL_DATA
store_and_web_tasks_get|blue-green|            - {Name: CART_TOKEN, ValueFrom: !Ref TokenArn}|            - {Name: CART_TOKENS, ValueFrom: !Ref TokenArn}
only_ecs_reads|satchel|Resource: !Ref TokenSecret|Resource: "*"
only_ecs_reads|satchel|secretsmanager:GetSecretValue|[secretsmanager:GetSecretValue, secretsmanager:PutSecretValue]
only_ecs_reads|satchel|Action: s3:GetObject|Action: [s3:GetObject, secretsmanager:GetSecretValue]
every_variable|satchel|Name: SATCHEL_TOKEN|Name: SATCHEL_TOKENS
containers_have_no_rights|satchel|ReadonlyRootFilesystem: true|ReadonlyRootFilesystem: false
containers_have_no_rights|satchel|{Drop: [ALL]}|{Drop: [NET_RAW]}
containers_have_no_rights|satchel|Essential: true|Essential: true\\n          Privileged: true
containers_have_no_rights|blue-green|10001:10001|0:0
containers_have_no_rights|satchel|mode: non-blocking|mode: blocking
the_store_has_time_to_stop|satchel|StopTimeout: 120|StopTimeout: 30
the_store_has_time_to_stop|satchel|MaxValue: 100\\n|MaxValue: 110\\n
the_health_check|satchel|health, --live]|health, --ready]
every_variable|satchel|SATCHEL_MEMORY|SATCHEL_MEMORIES
every_variable|blue-green|CART_STORE|CART_STORES
every_command|satchel|"--timeout"|"--time-out"
ports_paths_programs|satchel|ContainerPort: 7402|ContainerPort: 7403
ports_paths_programs|satchel|ContainerPath: /data|ContainerPath: /var
ports_paths_programs|blue-green|ContainerPort: 8080|ContainerPort: 80
sizes|satchel|Memory: "8192"|Memory: "9000"
sizes|satchel|Sessions: 15g|Sessions: 29g
there_is_one_store|satchel|DesiredCount: 1|DesiredCount: 2
there_is_one_store|satchel|[HasLoadBalancer, 0, 100]|[HasLoadBalancer, 100, 100]
there_is_one_store|satchel|SATCHEL_TASK_PROTECTION, Value: never|SATCHEL_TASK_PROTECTION, Value: auto
the_load_balancer|satchel|/readyz|/livez
the_load_balancer|satchel|timeout_seconds, Value: "10"|timeout_seconds, Value: "300"
only_the_web_tasks|blue-green|Strategy: BLUE_GREEN|Strategy: ROLLING
the_file_system|satchel|ThroughputMode: elastic|ThroughputMode: bursting
the_file_system|satchel|TransitEncryption: ENABLED|TransitEncryption: DISABLED
the_file_system|satchel|IAM: ENABLED|IAM: DISABLED
the_file_system|satchel|Encrypted: true|Encrypted: true\\n      LifecyclePolicies: [{TransitionToIA: AFTER_7_DAYS}]
the_bucket|satchel|BlockPublicPolicy: true|BlockPublicPolicy: false
the_bucket|satchel|DaysAfterInitiation: 1|DaysAfterInitiation: 30
the_bucket|satchel|Status: Enabled|Status: Enabled\\n            ExpirationInDays: 7
what_cannot_be_made|satchel|DeletionPolicy: Retain|DeletionPolicy: Delete
what_cannot_be_made|repository|ScanOnPush: true|ScanOnPush: false
alarms_have|satchel|Threshold: 500000|Threshold: 500
alarms_have|satchel|TreatMissingData: breaching|TreatMissingData: ignore
alarms_have|satchel|AlarmActions: [!Ref AlarmTopic]|AlarmActions: []
every_metric_in_alarms|satchel|MetricName: LeaseLeft|MetricName: LeaseHeld
every_metric_in_alarms|satchel|"DirtySessions"|"CleanSessions"
every_metric_in_alarms|blue-green|http_5xx_errors|http_5xx
every_metric_in_the_rules|prometheus/rules|satchel_backup_lag_seconds|satchel_backup_delay_seconds
web_tasks_are_scaled|satchel|requests / tasks|requests
"""


def red_tests(root, programs, pattern):
    """Runs the tests of that name; how many there are, and how many of them fail."""
    command = [HERE / "values.py", root, *programs, "-k", f"test_{pattern}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "Ran 1 test in" in run.stderr, run.returncode != 0


def main():
    root, programs = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    missed = 0
    lines = MISTAKES.strip().splitlines()
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory)
        for name in ("Dockerfile", "server"):
            (copy / name).symlink_to(root / name)
        for line in lines:
            pattern, file, right, wrong = line.replace("\\n", "\n").split("|")
            shutil.rmtree(copy / "deploy", ignore_errors=True)
            shutil.copytree(root / "deploy", copy / "deploy")
            path = copy / f"deploy/{file}.yaml"
            text = path.read_text(encoding="utf-8")
            broken = text.replace(right, wrong)
            path.write_text(broken, encoding="utf-8")
            is_one, is_red = red_tests(copy, programs, pattern)
            if broken == text or not is_one or not is_red:
                print(f"not found by {pattern}: {line}", file=sys.stderr)
                missed += 1
        shutil.copytree(root / "deploy", copy / "deploy", dirs_exist_ok=True)
        (copy / "deploy/iam/task-role.json").write_text("{}", encoding="utf-8")
        run = subprocess.run([HERE / "json_files.py", copy / "deploy"], capture_output=True, check=False)
        missed += run.returncode == 0
    print(f"checked {len(lines) + 1} mistakes, {missed} were not found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
