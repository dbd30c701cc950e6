// validate.js NODE_MODULES TEMPLATE…: what AWS' own offline validator says of CloudFormation templates.
// An error or a fatal diagnostic fails, and so does a warning that is not expected. It is exit code 1;
// 2 when the validator is not there.
"use strict";
const path = require("path");

// The validator takes each parameter's default for a value it may have anywhere; these two are empty when
// the resources that use them do not exist.
const emptyUnlessUsed = /^\{'Ref': '(ClusterName|WebServiceName)'\} default '' has length 0/;
const isExpected = (found) => found.ruleId === "W1030" && emptyUnlessUsed.test(found.message);

const [modules, ...templates] = process.argv.slice(2);
let validator;
try {
    validator = require(path.resolve(modules, "aws-cdk-lib/node_modules/@aws/cloudformation-validate"));
} catch (error) {
    console.error(`no validator: ${error.message}`);
    process.exit(2);
}

const engine = new validator.CompositeEngine();
let findings = 0;
for (const template of templates) {
    const report = engine.validateTemplate(new validator.TemplateFile(template));
    // Information tells of properties that cannot be changed later, and of resources without tags.
    const serious = report.diagnostics.filter((each) => each.severity !== "INFO" && !isExpected(each));
    for (const { severity, ruleId, entity, message } of serious) {
        console.log(`${template}: ${severity} ${ruleId} ${entity?.logicalId ?? ""}: ${message}`);
    }
    findings += serious.length;
    console.log(`checked ${path.basename(template)}: ${serious.length} errors and warnings`);
}
engine.free();
process.exit(findings === 0 && templates.length > 0 ? 0 : 1);
