package dev.whence.samples;

import java.util.List;

/**
 * How many entities of each type a world has.
 *
 * @param persons at least 3, as of each type: a question needs a subject, its object and another
 * @param companies at least 3
 * @param towns at least 3
 * @param rivers at least 3
 */
public record Sizes(int persons, int companies, int towns, int rivers) {
  static final int LEAST = 3;

  public Sizes {
    for (int size : List.of(persons, companies, towns, rivers)) {
      if (size < LEAST) {
        throw new IllegalArgumentException(
            "a world has at least " + LEAST + " entities of each type, not " + size);
      }
    }
  }

  /** The larger of two, type by type. */
  Sizes atLeast(Sizes other) {
    return new Sizes(
        Math.max(persons, other.persons),
        Math.max(companies, other.companies),
        Math.max(towns, other.towns),
        Math.max(rivers, other.rivers));
  }

  /** Each number times a factor, rounded, but at least three. */
  Sizes scaled(double factor) {
    return new Sizes(
        scaled(persons, factor),
        scaled(companies, factor),
        scaled(towns, factor),
        scaled(rivers, factor));
  }

  private static int scaled(int size, double factor) {
    return Math.max(LEAST, (int) Math.round(size * factor));
  }

  int of(EntityType type) {
    return switch (type) {
      case PERSON -> persons;
      case COMPANY -> companies;
      case TOWN -> towns;
      case RIVER -> rivers;
    };
  }
}
