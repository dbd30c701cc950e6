// validate.js SCHEMA: checks each line of standard input; prints the lines that do not match, with the reasons.
// Exit status: 0 all match, 1 some do not, 2 there was none. Finds ajv by NODE_PATH.
const fs = require("fs");
const Ajv = require("ajv");

const validate = new Ajv({ allErrors: true }).compile(JSON.parse(fs.readFileSync(process.argv[2], "utf8")));
const lines = fs.readFileSync(0, "utf8").split("\n").filter((line) => line !== "");
let bad = 0;
for (const [number, line] of lines.entries()) {
    if (!validate(JSON.parse(line))) {
        bad++;
        console.log(`line ${number + 1}: ${JSON.stringify(validate.errors)}`);
    }
}
console.log(`${lines.length} lines, ${bad} bad`);
process.exitCode = lines.length === 0 ? 2 : bad === 0 ? 0 : 1;
