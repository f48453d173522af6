// Draws the newest view of the exercise as the kit sends it; never more than it knows, and never late on purpose.
"use strict";
const live = document.getElementById("live");
if (live) {
  const data = live.dataset;
  const least = Number(data.least), most = Number(data.most);
  const bend = data.bend === undefined ? null : Number(data.bend);
  const straight = data.straight === undefined ? null : Number(data.straight);
  const hold = data.hold === undefined ? 0 : Number(data.hold);
  const wanted = data.wanted ? Number(data.wanted) : null;
  const el = (id) => document.getElementById(id);
  const angle = el("angle"), reps = el("reps"), say = el("say"), notices = el("notices"), mute = el("mute");
  let view = null, drawn = -1, counted = Number(reps.textContent), within = null, away = false, audio = null;
  let muted = localStorage.getItem("muted") === "1";

  const turn = (degrees) => ((Math.min(Math.max(degrees, least), most) - least) / (most - least)) * 180;
  const point = (degrees, r) => {
    const a = ((180 - turn(degrees)) * Math.PI) / 180;
    return `${(r * Math.cos(a)).toFixed(1)} ${(-r * Math.sin(a)).toFixed(1)}`;
  };
  function zone() {
    const [from, to] = bend !== null ? [bend, Math.min(bend + 15, most)] : straight !== null ? [least, straight] : [null, null];
    if (from !== null) el("zone").setAttribute("d", `M${point(from, 100)} A100 100 0 0 1 ${point(to, 100)}`);
  }
  function beep(frequency, length) {
    if (muted) return;
    try {
      audio = audio || new AudioContext();
      const tone = audio.createOscillator(), loud = audio.createGain();
      tone.frequency.value = frequency;
      loud.gain.setValueAtTime(0.2, audio.currentTime);
      loud.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + length);
      tone.connect(loud).connect(audio.destination);
      tone.start();
      tone.stop(audio.currentTime + length);
    } catch { /* a phone that may not sound shows it all the same */ }
  }
  function speak(text) {
    if (muted || !("speechSynthesis" in window)) return;
    speechSynthesis.cancel();
    const words = new SpeechSynthesisUtterance(text);
    words.lang = document.documentElement.lang;
    speechSynthesis.speak(words);
  }
  function tell(text) {
    if (say.textContent !== text) say.textContent = text;
  }
  function guide(now) {
    if (away) return tell(data.away);
    if (view.phase === "connecting") return tell(data.connecting);
    if (view.lost.length) return tell(data.lost);
    if (view.paused) return tell(data.resting);
    if (view.deg === null) return tell(data.learning);
    if (view.beyond) return tell(data.beyond);
    if (wanted !== null && view.reps >= wanted) return tell(data.enough);
    const there = bend !== null ? view.deg >= bend : straight !== null ? view.deg <= straight : null;
    if (there === null) return tell("");
    if (!there) { within = null; return tell(data.more); }
    if (within === null) within = now;
    const held = (now - within) / 1000;
    return tell(held < hold ? `${data.holdWord} ${Math.ceil(hold - held)}` : data.good);
  }
  function draw(now) {
    requestAnimationFrame(draw);
    if (!view) return;
    if (view.n !== drawn) {
      drawn = view.n;
      const known = view.deg !== null;
      angle.textContent = known ? `${Math.round(view.deg)}°` : "–";
      if (known) {
        el("needle").setAttribute("transform", `rotate(${turn(view.deg).toFixed(1)})`);
        el("shank").setAttribute("transform", `rotate(${Math.max(0, view.deg).toFixed(1)})`);
        live.dataset.lateMs = String(Date.now() - view.wall_ms + view.latency_ms);
      }
      reps.textContent = String(view.reps);
      if (view.reps > counted) {
        counted = view.reps;
        beep(counted === wanted ? 1320 : 880, counted === wanted ? 0.6 : 0.15);
        speak(counted === wanted ? `${counted}. ${data.enough}` : String(counted));
      }
      const texts = view.notices.join("\n");
      if (notices.dataset.texts !== texts) {
        notices.dataset.texts = texts;
        notices.replaceChildren(...view.notices.map((text) => {
          const item = document.createElement("li");
          item.className = "notice";
          item.textContent = text;
          return item;
        }));
      }
    }
    guide(now);
  }
  function sound() {
    mute.textContent = muted ? mute.dataset.off : mute.dataset.on;
    mute.setAttribute("aria-pressed", String(muted));
  }
  mute.hidden = false;
  sound();
  mute.addEventListener("click", () => {
    muted = !muted;
    localStorage.setItem("muted", muted ? "1" : "0");
    if (muted && "speechSynthesis" in window) speechSynthesis.cancel();
    sound();
  });
  const source = new EventSource("/live/events");
  source.onmessage = (event) => {
    away = false;
    view = JSON.parse(event.data);
    if (view.over) { source.close(); location.assign("/live"); }
  };
  source.onerror = () => { away = true; };
  document.addEventListener("pointerdown", () => audio && audio.resume());  // some phones sound only after a touch
  if ("wakeLock" in navigator) navigator.wakeLock.request("screen").catch(() => {});
  for (const form of document.forms) {
    form.addEventListener("submit", () => setTimeout(() => form.querySelectorAll("button").forEach((b) => { b.disabled = true; }), 0));
  }
  zone();
  requestAnimationFrame(draw);
}
