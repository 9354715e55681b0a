/** A program that does nothing but stay: what the runtime alone needs. */
if (Deno.args[0] !== "-h") setInterval(() => {}, 60_000);
