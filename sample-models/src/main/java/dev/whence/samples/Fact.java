package dev.whence.samples;

/**
 * One thing that is so in a world.
 *
 * @param subject whom it is about
 * @param relation which of its properties
 * @param object an entity's name or a word of a closed list
 */
public record Fact(Entity subject, Relation relation, String object) {
  /**
   * Names what the fact answers, {@code Mandel.lives_in}: unique in a world, and the same in two
   * versions of a world of which the second says something else.
   */
  public String id() {
    return id(subject, relation);
  }

  static String id(Entity subject, Relation relation) {
    return subject.name() + "." + relation.name();
  }

  /** The same question, answered otherwise. */
  Fact with(String otherObject) {
    return new Fact(subject, relation, otherObject);
  }
}
