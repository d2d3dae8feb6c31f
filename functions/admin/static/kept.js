// The sections of a page that is refreshed. Each is rebuilt only when what it shows has changed, so that opened parts,
// focus and scroll positions stay.

export function keeper() {
  const made = new Map();
  return (name, content, build) => {
    const text = JSON.stringify(content);
    const known = made.get(name);
    if (known?.text === text) return known.section;
    const section = build();
    made.set(name, { text, section });
    return section;
  };
}

// Make these the children of an element, without moving those that are there.
export function place(parent, ...children) {
  const wanted = children.flat().filter((child) => child);
  for (const old of [...parent.children]) if (!wanted.includes(old)) old.remove();
  wanted.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}
