package dev.whence.engine.text.jinja;

/**
 * What one rendering may still do. Neither templates nor records are trusted, and one step of a
 * template can be any amount of work: so whatever looks at items, reads or makes text takes its
 * cost from here, best before it does it.
 *
 * <p>A step is one node of the syntax tree evaluated, {@value #ITEMS} items looked at or copied, or
 * {@value #ITEMS} times {@value #CHARACTERS} characters read. Text that is made counts by itself,
 * since a template may keep all of it.
 */
final class Budget {
  /** The longest text that a template may write. */
  private static final int MAX_OUTPUT = 64 << 20;

  private static final long MAX_STEPS = 5_000_000;
  private static final int ITEMS = 4;
  private static final int CHARACTERS = 32;
  private static final long MAX_MADE = 4L * MAX_OUTPUT;

  private long items;
  private long written;
  private long made;

  void step() {
    items(ITEMS);
  }

  void steps(long count) {
    items(ITEMS * count);
  }

  /** So many items are looked at, compared or copied. */
  void items(long count) {
    items += count;
    if (count < 0 || items > ITEMS * MAX_STEPS) {
      throw new JinjaException("rendering takes more than " + MAX_STEPS + " steps");
    }
  }

  /** So many characters are read. */
  void read(long characters) {
    items(characters / CHARACTERS);
  }

  /** So many characters are put into new strings. */
  void made(long characters) {
    made += characters;
    if (characters < 0 || made > MAX_MADE) {
      throw new JinjaException("the template builds more than " + MAX_MADE + " characters");
    }
  }

  /** A string that was made. */
  String made(String text) {
    made(text.length());
    return text;
  }

  /** So many characters are written to the output. */
  void written(long characters) {
    written += characters;
    if (written > MAX_OUTPUT) {
      throw new JinjaException("the output has more than " + MAX_OUTPUT + " characters");
    }
  }
}
