// The bar on top: links to the sections, and the theme.

function navigate() {
  const links = new Map();
  for (const section of document.querySelectorAll("#sweep section[data-title]:not([hidden])")) {
    const link = el("a", section.dataset.title, "", { href: fragment({ at: section.id }) });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      applied.at = section.id;
      go({ at: section.id }, { replace: true });
      section.scrollIntoView();
    });
    links.set(section, link);
  }
  $(".bar nav").replaceChildren(...links.values());
  foldMenu();
  navigate.watch?.disconnect();
  navigate.watch = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) links.get(entry.target)?.classList.toggle("here", entry.isIntersecting);
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );
  for (const section of links.keys()) navigate.watch.observe(section);
}

/** The button chooses a theme. A page in the system's theme follows the system when that changes. */
function listenToThemes() {
  let chosen = chosenTheme();
  const use = (name) => {
    document.documentElement.dataset.theme = name;
    recolour();
  };
  $("#theme").addEventListener("click", () => {
    const name = theme() === "dark" ? "light" : "dark";
    chosen = name === systemTheme() ? null : name;
    remember("raysweep-theme", chosen);
    use(name);
  });
  darkSystem.addEventListener("change", () => {
    if (chosen === null && theme() !== systemTheme()) use(systemTheme());
  });
}

/** Where the links to the sections do not fit into the bar, a button shows them below it. */
function listenToMenu() {
  const [bar, menu, nav] = [$(".bar"), $("#menu"), $(".bar nav")];
  const show = (isOpen) => {
    bar.classList.toggle("open", isOpen);
    menu.setAttribute("aria-expanded", String(isOpen));
  };
  menu.addEventListener("click", () => show(!bar.classList.contains("open")));
  nav.addEventListener("click", () => show(false));
  document.addEventListener("click", (event) => {
    if (!bar.contains(event.target)) show(false);
  });
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !bar.classList.contains("open")) return;
    event.stopPropagation(); // or it would also lead back to the list
    show(false);
    menu.focus();
  });
  new ResizeObserver(foldMenu).observe(bar);
}

function foldMenu() {
  const bar = $(".bar");
  const nav = $(".bar nav");
  if (bar.classList.contains("open")) return;
  bar.classList.remove("folded");
  bar.classList.toggle("folded", !nav.hidden && nav.scrollWidth > nav.clientWidth);
}
