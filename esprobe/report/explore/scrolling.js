// What is wider or higher than its frame fades towards the edge behind which there is more of it.
// Knows elements that scroll, not what they hold.

function fade(frame) {
  frame.classList.toggle("wider", frame.scrollWidth - frame.clientWidth - frame.scrollLeft > 1);
  frame.classList.toggle("higher", frame.scrollHeight - frame.clientHeight - frame.scrollTop > 1);
}

const frames = () => document.querySelectorAll(".scroll, .framed");
const fadeAll = () => frames().forEach(fade);

// A frame's own scrolling does not bubble, so that it is caught on its way down.
document.addEventListener("scroll", (event) => { if (event.target instanceof Element && event.target.matches(".scroll, .framed")) fade(event.target); }, true);
addEventListener("resize", fadeAll);
