package dev.whence.quickstart.view;

/**
 * How text looks: the parameters of an ANSI "select graphic rendition" sequence in the 256-colour
 * palette. Colours always come as a pair of foreground and background, so that they can be read on
 * dark and light terminals.
 *
 * @param parameters separated by ';', empty for plain text
 */
record Style(String parameters) {
  static final Style PLAIN = new Style("");
  static final Style BOLD = new Style("1");
  static final Style FAINT = new Style("38;5;245");
  static final Style LABEL = new Style("1;38;5;39");
  static final Style GOOD = new Style("1;38;5;35");
  static final Style BAD = new Style("1;38;5;203");
  static final Style BADGE = new Style("1;38;5;16;48;5;231");

  private static final Style[] WARM = {
    FAINT,
    new Style("38;5;223;48;5;236"),
    new Style("38;5;230;48;5;58"),
    new Style("38;5;231;48;5;94"),
    new Style("38;5;231;48;5;130"),
    new Style("1;38;5;16;48;5;208"),
  };

  private static final Style[] COLD = {
    FAINT,
    new Style("38;5;153;48;5;236"),
    new Style("38;5;195;48;5;17"),
    new Style("38;5;231;48;5;24"),
    new Style("38;5;231;48;5;25"),
    new Style("1;38;5;231;48;5;33"),
  };

  /** Strongest level of {@link #heat}. */
  static final int HOTTEST = WARM.length - 1;

  /**
   * @param level from -{@link #HOTTEST} (made the answer less likely) to {@link #HOTTEST}
   */
  static Style heat(int level) {
    return level < 0 ? COLD[-level] : WARM[level];
  }

  /** The escape sequence that sets it. */
  String begin() {
    return parameters.isEmpty() ? "" : "\u001b[" + parameters + "m";
  }

  /** The escape sequence that ends it. */
  String end() {
    return parameters.isEmpty() ? "" : "\u001b[0m";
  }
}
