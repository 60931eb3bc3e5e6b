// Checks the rules of ../README.md on the composed pages. Prints what is wrong and where; exits 1 if anything is.
import { compose, PAGES } from "./compose.mjs";

const MOST_BYTES = 30 * 1024;
const FORBIDDEN = [
  [/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(/, "data may reach the page by textContent only"],
  [/<[^>]+\son[a-z]+=/i, "inline handlers are blocked by the policy"],
  [/<[^>]+\sstyle=/i, "style attributes are blocked by the policy"],
  [/setAttribute\("style"/, "style attributes are blocked by the policy; use element.style"],
  [/(src|href)="(https?:)?\/\//i, "pages use no outside resource"],
  [/\{\{|__SALE__/, "a marker was left in place"],
];

let wrong = 0;
const complain = (page, text) => { wrong++; console.error(`${page}: ${text}`); };

for (const page of PAGES) {
  const { html } = compose(page, "phone-launch");
  const bytes = Buffer.byteLength(html);
  if (bytes > MOST_BYTES) complain(page, `${bytes} bytes, more than ${MOST_BYTES}`);
  for (const tag of ["<style", "</style>", "<script", "</script>"]) {
    const found = html.split(tag).length - 1;
    if (found !== 1) complain(page, `${found} times ${tag}, expected once`);
  }
  for (const [pattern, why] of FORBIDDEN) {
    const hit = pattern.exec(html);
    if (hit) complain(page, `line ${html.slice(0, hit.index).split("\n").length}: ${hit[0].slice(0, 60)} – ${why}`);
  }
  console.log(`${page}: ${bytes} bytes`);
}
process.exit(wrong ? 1 : 0);
