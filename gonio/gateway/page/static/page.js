// Asks the kit now and then whether it is time, while the page is looked at. Everything works without this.
"use strict";
const reminder = document.getElementById("reminder");
async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/state", { cache: "no-store" });
    if (!answer.ok) return;
    const state = await answer.json();
    if (reminder && reminder.hidden && state.reminder) {
      reminder.hidden = false;
      reminder.scrollIntoView();
    }
  } catch { /* the kit is away: the next look tells */ }
}
if (reminder) setInterval(look, 30000);
