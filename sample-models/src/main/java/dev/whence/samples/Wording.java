package dev.whence.samples;

import java.util.List;
import java.util.Map;

/** Puts facts into words, in a wording that is drawn. */
final class Wording {
  private final Lexicon lexicon;
  private final Draw draw;
  private final double sharedBeginningShare;

  /** All wordings alike. */
  Wording(Lexicon lexicon, Draw draw) {
    this(lexicon, draw, 0);
  }

  /**
   * Wordings some of which are preferred.
   *
   * @param sharedBeginningShare see {@link ContextOptions}
   */
  Wording(Lexicon lexicon, Draw draw, double sharedBeginningShare) {
    this.lexicon = lexicon;
    this.draw = draw;
    this.sharedBeginningShare = sharedBeginningShare;
  }

  private String template(Relation relation) {
    if (sharedBeginningShare > 0 && draw.chance(sharedBeginningShare)) {
      List<String> sharing = lexicon.sharingBeginnings(relation);
      if (!sharing.isEmpty()) {
        return draw.from(sharing);
      }
    }
    return draw.from(relation.statements());
  }

  Sentence.Statement statement(Fact fact) {
    return statement(fact, template(fact.relation()));
  }

  static Sentence.Statement statement(Fact fact, String template) {
    return new Sentence.Statement(
        Lexicon.fill(template, Map.of("s", fact.subject().name(), "o", fact.object())),
        fact,
        false);
  }

  /** The subject must have an alias. */
  Sentence.Statement byAlias(Fact fact) {
    return byAlias(fact, template(fact.relation()));
  }

  static Sentence.Statement byAlias(Fact fact, String template) {
    return new Sentence.Statement(
        Lexicon.fill(template, Map.of("s", fact.subject().alias(), "o", fact.object())),
        fact,
        true);
  }

  Sentence.Hop hop(Fact fact, Entity via) {
    String template = draw.from(fact.relation().hops());
    return new Sentence.Hop(
        Lexicon.fill(template, Map.of("s", fact.subject().name(), "p", via.name())), fact, via);
  }

  Sentence.Link link(Entity person) {
    return link(person, draw.from(lexicon.aliases()));
  }

  static Sentence.Link link(Entity person, String template) {
    return new Sentence.Link(
        Lexicon.fill(template, Map.of("s", person.name(), "a", person.alias())), person);
  }

  Sentence.Injection injection(Fact fact) {
    Sentence.Statement statement = statement(fact);
    return new Sentence.Injection(
        Lexicon.fill(draw.from(lexicon.injections()), Map.of("t", statement.text())), statement);
  }

  Sentence.Filler filler() {
    return new Sentence.Filler(draw.from(lexicon.filler()));
  }

  /** A question for the fact's object, by the subject's name. */
  String question(Fact fact) {
    return question(fact, draw.from(fact.relation().questions()));
  }

  static String question(Fact fact, String template) {
    return Lexicon.fill(template, Map.of("s", fact.subject().name()));
  }
}
