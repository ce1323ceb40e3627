// Validate the document named on the command line with AsyncAPI's own parser; the exit code is 1 where it finds an error.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
const errors = diagnostics.filter((each) => each.severity === 0);
for (const each of errors) {
  console.error(`${each.path.join(".")}: ${each.message}`);
}
if (document) {
  console.log(document.allMessages().all().length + " messages");
}
process.exit(errors.length > 0 || !document ? 1 : 0);
