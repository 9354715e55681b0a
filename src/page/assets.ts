/**
 * What pages are drawn with: style, script and icon, served by this program.
 *
 * @module
 */

/** The style: light and dark, and for a phone. */
export const STYLE = `
:root{color-scheme:light dark;--back:#fff;--fore:#1c2024;--soft:#555d66;--line:#c9ced4;--tile:#f4f6f8;
--link:#0b57a4;--good:#176b37;--bad:#a3121f;--doubt:#7a4b00;--s0:#b3261e;--s1:#c77700;--s2:#5b6ab8;--s3:#6b7680;
--s4:#0b57a4;--s5:#2e7d4f}
@media(prefers-color-scheme:dark){:root{--back:#14171a;--fore:#e6e9ec;--soft:#a5adb6;--line:#3a4148;
--tile:#1d2226;--link:#8ab8f0;--good:#7fd39b;--bad:#ff9a93;--doubt:#f0be6a;--s0:#f0776e;--s1:#e0a33a;--s2:#98a6ee;
--s3:#98a2ab;--s4:#8ab8f0;--s5:#7fd39b}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--fore);font:16px/1.5 system-ui,"DejaVu Sans",sans-serif}
a{color:var(--link)}
header,main,footer{max-width:80rem;margin:0 auto;padding:.75rem 1rem}
header{display:flex;flex-wrap:wrap;gap:.5rem 1.25rem;align-items:center;border-bottom:1px solid var(--line)}
header strong{font-size:1.15rem}
header nav{display:flex;gap:1rem;flex:1}
nav a[aria-current]{font-weight:600;color:var(--fore)}
header form{margin:0}
footer{color:var(--soft);font-size:.875rem;border-top:1px solid var(--line)}
h1{font-size:1.4rem;margin:.5rem 0;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:1.5rem 0 .5rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.75rem;margin:0;padding:0;list-style:none}
.tiles li{background:var(--tile);border:1px solid var(--line);border-radius:.4rem;padding:.6rem .75rem;overflow-wrap:anywhere}
.tiles p{margin:0;font-size:.875rem;font-weight:400;color:var(--soft)}
.tiles b{display:block;font-size:1.35rem}
.tiles span{font-size:.875rem}
.good{color:var(--good)}.bad{color:var(--bad)}.doubt{color:var(--doubt)}
.note{border-left:.3rem solid var(--doubt);background:var(--tile);padding:.5rem .75rem;margin:.75rem 0;overflow-wrap:anywhere}
.note.bad{border-color:var(--bad)}.note.good{border-color:var(--good)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
caption{text-align:left;color:var(--soft);padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
tbody th{font-weight:400}
.story th{width:9rem;color:var(--soft)}
time{white-space:nowrap}
.num{text-align:right}
.new{animation:new 3s}
@keyframes new{from{background:var(--tile)}}
form.line,.pages{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin:.75rem 0}
input,select,button{font:inherit;color:var(--fore);background:var(--back);border:1px solid var(--soft);border-radius:.3rem;
padding:.35rem .6rem;min-height:2.4rem;max-width:100%}
button{background:var(--tile);cursor:pointer}
:focus-visible{outline:.2rem solid var(--link);outline-offset:.1rem}
.skip{position:absolute;left:-99rem}.skip:focus{position:static}
pre{background:var(--tile);border:1px solid var(--line);padding:.5rem .75rem;white-space:pre-wrap;overflow-wrap:anywhere;margin:.25rem 0}
figure{margin:1rem 0}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font-size:11px}
.axis{stroke:var(--line)}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}.s4{fill:var(--s4)}.s5{fill:var(--s5)}
.unknown{fill:var(--tile)}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1rem;font-size:.875rem;margin:.25rem 0;padding:0;list-style:none}
.legend svg{display:inline-block;width:.8rem;height:.8rem;margin-right:.3rem}
@media(max-width:40rem){.wide{display:none}.story th{width:6.5rem}header,main,footer{padding:.6rem .75rem}}
@media(prefers-reduced-motion:reduce){.new{animation:none}}
`.replaceAll("\n", "");

/** The script: without it everything works, but nothing moves. */
export const SCRIPT = `"use strict";
(() => {
  const says = document.getElementById("live");
  if (!says || !window.EventSource) return;
  const rows = document.getElementById("rows");
  const most = 100;
  let wasLost = false;
  const source = new EventSource("/events");
  const tell = (text) => { if (says.textContent !== text) says.textContent = text; };
  source.onopen = async () => {
    tell("live");
    if (!wasLost) return;
    wasLost = false;
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["tiles", "rows"]) {
      const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
      if (old && fresh) old.innerHTML = fresh.innerHTML;
    }
  };
  source.onerror = () => {
    wasLost = true;
    tell(source.readyState === EventSource.CLOSED ? "not live: load the page again" : "not live: connecting");
  };
  const find = (target) => rows && [...rows.rows].find((row) => row.dataset.target === target);
  source.addEventListener("tiles", ({ data }) => {
    const tiles = document.getElementById("tiles");
    if (tiles) tiles.innerHTML = JSON.parse(data);
  });
  source.addEventListener("gone", ({ data }) => {
    for (const target of JSON.parse(data)) find(target)?.remove();
  });
  source.addEventListener("rows", ({ data }) => {
    if (!rows) return;
    for (const [target, html] of JSON.parse(data)) {
      find(target)?.remove();
      rows.insertAdjacentHTML("afterbegin", html);
      rows.rows[0].classList.add("new");
    }
    while (rows.rows.length > most) rows.deleteRow(-1);
    document.getElementById("none")?.remove();
  });
})();
`;

/** The icon: a bolt. */
export const ICON =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#c77700" d="M9 0 2 9h4l-1 7 8-10H8z"/></svg>`;
