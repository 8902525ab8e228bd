// What readers who use a keyboard or a screen reader need, and the theme leaves out: a name for the search, and wide
// tables that can be scrolled with the arrow keys.
document$.subscribe(() => {
  document.querySelector("[data-md-component=search]")?.setAttribute("aria-label", "Search");
  for (const wide of document.querySelectorAll(".md-typeset__scrollwrap, .highlight pre, .highlight code")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
});
