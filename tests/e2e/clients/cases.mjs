// What the Node clients beside this file share: a package of those installed for the tests, the cases (a JSON array on stdin),
// and how their outcomes leave (one JSON line a case, in order).
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(process.env.E2E_NODE_MODULES + '/x.js'));
export const load = async (name) => import(pathToFileURL(require.resolve(name)).href);

export const cases = JSON.parse(await new Promise((done) => {
  let text = '';
  process.stdin.on('data', (d) => (text += d)).on('end', () => done(text));
}));

/* perform(one) fills what it is given as its second argument, so that a case that throws still says what came before. */
export async function answer(perform, ofError) {
  for (const one of cases) {
    const out = {};
    try {
      await perform(one, out);
    } catch (error) {
      out.error = ofError(error);
    }
    process.stdout.write(JSON.stringify(out) + '\n');
  }
}
