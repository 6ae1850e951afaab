package dev.whence.cli;

/** What the number of an option may be, looked at before anything expensive is started for it. */
final class OptionRange {
  private OptionRange() {}

  /** For what has no bound but that of its type. */
  static void atLeast(String option, long value, long least) {
    if (value < least) {
      throw new UsageException(option + " is " + value + ", but must be " + least + " or more");
    }
  }

  static void check(String option, long value, long least, long most) {
    if (value < least || value > most) {
      throw new UsageException(
          option + " is " + value + ", but must be at least " + least + " and at most " + most);
    }
  }

  /** Of a text that says something: a pattern that is empty, for example, matches everything. */
  static void notEmpty(String option, String value) {
    if (value.isBlank()) {
      throw new UsageException(option + " is empty; leave it out, or say what is meant");
    }
  }
}
