package dev.whence.samples;

import java.util.List;

/**
 * What may be said of a subject. The slots of the templates: {@code {s}} subject, {@code {o}}
 * object, {@code {p}} another subject with the same object.
 *
 * @param name unique, for example {@code lives_in}
 * @param subject the type of its subjects
 * @param range what its objects may be
 * @param statements sentences that state a fact
 * @param questions that ask for the object
 * @param hops sentences that state a fact by way of another subject; empty if there are none
 */
public record Relation(
    String name,
    EntityType subject,
    Range range,
    List<String> statements,
    List<String> questions,
    List<String> hops) {
  public Relation {
    statements = List.copyOf(statements);
    questions = List.copyOf(questions);
    hops = List.copyOf(hops);
  }
}
