// What readers who use a keyboard or a screen reader need, and the theme leaves out: a name for the search, and wide
// tables that can be scrolled with the arrow keys, also once a window has become narrow or a fold is open.
const wideOnes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

document$.subscribe(() => {
  document.querySelector("[data-md-component=search]")?.setAttribute("aria-label", "Search");
  for (const each of document.querySelectorAll(".md-typeset__scrollwrap, .highlight pre, .highlight code")) wideOnes.observe(each);
});
