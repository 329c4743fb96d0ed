// A journey's ladder, step by step. The model has: title, views {level: {svg, steps}}, rulesets, level, step.
// A step has: says (its words), ruleset and line (where its rule stands, or null). Step 0 shows all of them.

const LEVELS = { summary: "Summary", rules: "Every rule", everything: "Everything" };
const PAUSE_MS = 2200;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function button(label, sign, act) {
  const element = make("button", { type: "button", "aria-label": label, title: label }, sign);
  element.addEventListener("click", act);
  return element;
}

function render({ model, el }) {
  let timer = null;
  const steps = () => model.get("views")[model.get("level")].steps;
  const go = (step) => {
    model.set("step", Math.max(0, Math.min(step, steps().length)));
    model.save_changes();
  };
  const move = (by) => { stop(); go(model.get("step") + by); };

  // Parts
  const previous = button("Previous step", "◀", () => move(-1));
  const play = button("Play", "▶ Play", () => (timer ? stop() : start()));
  const next = button("Next step", "▶", () => move(1));
  const whole = button("Show all steps", "All", () => { stop(); go(0); });
  const slider = make("input", { type: "range", min: 0, "aria-label": "Step" });
  const count = make("span", { class: "count" });
  const level = make("select", { "aria-label": "How much is shown" },
    ...Object.entries(LEVELS).map(([value, name]) => make("option", { value }, name)));
  const toolbar = make("div", { class: "toolbar", role: "toolbar", "aria-label": "Steps of the journey" },
    previous, play, next, whole, slider, count, level);
  const spoken = make("p", { class: "spoken", role: "status", "aria-live": "polite" });
  const ladder = make("div", { class: "ladder", tabindex: 0, role: "region", "aria-label": "The ladder" });
  const heading = make("h4");
  const lines = make("ol", { class: "lines" });
  const rules = make("section", { class: "rules", "aria-label": "Rules of the node" }, heading, lines);
  const list = make("ol");
  const text = make("details", { class: "text" }, make("summary", {}, "All steps as text"), list);
  const keys = make("p", { class: "keys" }, "Keys: ← → step, Home, End, P plays, Esc shows all");
  const root = make("div", {
    class: "labkit-journey", role: "group", "aria-label": model.get("title"), "data-lm-suppress-shortcuts": "true",
  }, toolbar, spoken, make("div", { class: "columns" }, ladder, rules), keys, text);
  el.append(root);

  // Playing
  function start() {
    if (model.get("step") >= steps().length) go(0);
    play.replaceChildren("❚❚ Pause");
    play.setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      go(model.get("step") + 1);
      if (model.get("step") >= steps().length) stop();
    }, PAUSE_MS);
    go(model.get("step") + 1);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.replaceChildren("▶ Play");
    play.setAttribute("aria-label", "Play");
  }

  // Showing
  function showLevel() {
    const view = model.get("views")[model.get("level")];
    level.value = model.get("level");
    ladder.innerHTML = view.svg;
    ladder.firstChild.append(token());
    for (const group of ladder.querySelectorAll("[data-step], [data-band]")) {
      group.addEventListener("click", () => { stop(); go(Number(group.dataset.step ?? group.dataset.band)); });
    }
    list.replaceChildren(...view.steps.map((step) => make("li", {}, step.says)));
    slider.max = view.steps.length;
    showStep();
  }

  function token() {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    circle.setAttribute("class", "token");
    circle.setAttribute("r", 13);
    return circle;
  }

  function showStep() {
    const step = model.get("step");
    const all = steps();
    for (const group of ladder.querySelectorAll("[data-step], [data-band], [data-thread]")) {
      const number = Number(group.dataset.step ?? group.dataset.band ?? group.dataset.thread);
      group.classList.toggle("later", step > 0 && number > step);
      group.classList.toggle("now", number === step);
    }
    [...list.children].forEach((item, number) => {
      if (number + 1 === step) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
    slider.value = step;
    slider.setAttribute("aria-valuetext", step ? `Step ${step} of ${all.length}` : "All steps");
    count.textContent = step ? `${step} of ${all.length}` : `${all.length} steps`;
    previous.disabled = step === 0;
    next.disabled = step >= all.length;
    spoken.textContent = step ? `Step ${step} of ${all.length}. ${all[step - 1].says}` : model.get("title");
    moveToken(step);
    showRule(step ? all[step - 1] : null);
  }

  function moveToken(step) {
    const circle = ladder.querySelector(".token");
    const row = ladder.querySelector(`[data-step="${step}"]`);
    circle.classList.toggle("shown", Boolean(row));
    if (!row) return;
    circle.style.transform = `translate(${row.dataset.x}px, ${row.dataset.y}px)`;
    const [box, place] = [ladder.getBoundingClientRect(), row.getBoundingClientRect()];
    if (place.top < box.top + 40 || place.bottom > box.bottom - 40) {
      ladder.scrollTop += place.top - box.top - box.height / 3;
    }
  }

  function showRule(step) {
    const rulesets = model.get("rulesets");
    // Before a step has a rule: the rules that the first such step will stand in, not an empty table.
    const first = steps().find((one) => one.ruleset !== null)?.ruleset ?? 0;
    const number = step?.ruleset ?? (lines.dataset.ruleset ? Number(lines.dataset.ruleset) : first);
    rules.hidden = rulesets.length === 0;
    if (rules.hidden) return;
    if (lines.dataset.ruleset !== String(number)) {
      lines.dataset.ruleset = number;
      heading.textContent = rulesets[number].heading;
      lines.replaceChildren(...rulesets[number].lines.map((line) => make("li", {}, line || " ")));
    }
    lines.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const line = step?.line ? lines.children[step.line - 1] : null;
    if (!line) return;
    line.setAttribute("aria-current", "true");
    lines.scrollTop = line.offsetTop - lines.clientHeight / 3;
  }

  // Events
  const acts = {
    ArrowRight: () => move(1), ArrowDown: () => move(1), ArrowLeft: () => move(-1), ArrowUp: () => move(-1),
    Home: () => { stop(); go(1); }, End: () => { stop(); go(steps().length); },
    p: () => play.click(), P: () => play.click(), Escape: () => whole.click(),
  };
  root.addEventListener("keydown", (event) => {
    const act = acts[event.key];
    if (!act || event.target === level || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });
  slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
  level.addEventListener("change", () => {
    stop();
    model.set("step", 0);
    model.set("level", level.value);
    model.save_changes();
  });
  model.on("change:level", showLevel);
  model.on("change:step", showStep);
  showLevel();
  return () => { stop(); model.off("change:level", showLevel); model.off("change:step", showStep); };
}

export default { render };
