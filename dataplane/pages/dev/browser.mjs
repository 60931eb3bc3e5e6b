// Chromium for the scripts here. playwright-core comes from node_modules beside this file, or from the directory
// that FLASHSALE_DEV_MODULES names (run-walk.sh keeps it in a cache).
import { createRequire } from "node:module";
import { join } from "node:path";

const modules = process.env.FLASHSALE_DEV_MODULES || import.meta.dirname;
const { chromium } = createRequire(join(modules, "package.json"))("playwright-core");

const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A browser without pages; CHROMIUM names another program than Debian's. */
export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ARGS });
