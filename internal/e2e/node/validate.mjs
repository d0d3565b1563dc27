// Holds documents, given as [{Name, HTML}] on the standard input, against the HTML
// standard, and prints what is wrong with them as a list of sentences.
import { HtmlValidate, StaticConfigLoader } from 'html-validate';

const config = {
  root: true,
  extends: ['html-validate:standard'], // axe looks after accessibility, on what the browser made of it
  rules: { 'no-inline-style': 'error' },
};
const validator = new HtmlValidate(new StaticConfigLoader(config));
let text = '';
for await (const part of process.stdin) text += part;
const found = new Map(); // sentence → the pages that it holds for
for (const { Name, HTML } of JSON.parse(text)) {
  const report = await validator.validateString(HTML, `${Name}.html`);
  for (const result of report.results) {
    const lines = HTML.split('\n');
    for (const m of result.messages) {
      const near = (lines[m.line - 1] ?? '').slice(Math.max(0, m.column - 40), m.column + 80);
      const said = `${m.ruleId}: ${m.message} near ${JSON.stringify(near)}`;
      found.set(said, [...(found.get(said) ?? []), Name]);
    }
  }
}
process.stdout.write(JSON.stringify([...found].map(([said, at]) => `${at.slice(0, 3).join(', ')}${at.length > 3 ? ` and ${at.length - 3} more` : ''}: ${said}`)));
