// Run as a separate process by abort_test.ts: serves content that breaks off, downloads it, and exits. What the
// runtime itself would print about that cannot be captured within a process.

import { Gateway } from "../../http/gateway.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { appWithFile } from "../web/fixture.ts";

const app = appWithFile(new Uint8Array(1_000_000), {}, (content) => content.failsAt = 300_000);
const folder = await Deno.makeTempDir();
const front = new Gateway({ hostname: "127.0.0.1", port: 0, limits: DEFAULT_LIMITS });
front.begin((request, client) => app.app.fetch(request, client), folder);
const response = await fetch(`http://127.0.0.1:${front.port}${app.path}`);
const outcome = await response.bytes().then(() => "whole", () => "broken off");
await front.stop();
await Deno.remove(folder, { recursive: true });
console.log(`${response.status} ${outcome}`);
