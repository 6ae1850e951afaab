package dev.whence.samples;

import dev.whence.conversation.Span;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Makes one context: first what its questions need, then other sentences until it is long enough,
 * then the order and the documents.
 *
 * <p>No other sentence gives another answer to a question, or the same one once more: facts that
 * are asked for, and those that a two-hop answer rests on, are stated by the sentences of the
 * question only, and no other two-hop sentence begins or ends at them.
 */
final class ContextMaker {
  private static final int ATTEMPTS = 1000;

  private final Draw draw;
  private final World world;
  private final ContextOptions options;
  private final boolean mayInvent;
  private final Wording wording;

  /** Ids of facts that some sentence states, outright or not. */
  private final Set<String> said = new HashSet<>();

  /** Ids of facts that only a question's own sentences may state. */
  private final Set<String> guarded = new HashSet<>();

  /** The facts of the questions. */
  private final List<Fact> near = new ArrayList<>();

  private final Set<String> linked = new HashSet<>();
  private final List<Sentence> sentences = new ArrayList<>();
  private final List<Sentence.Injection> injections = new ArrayList<>();
  private final List<Ask> asks = new ArrayList<>();

  /**
   * A question that the context answers.
   *
   * @param fact with the answer as its object
   * @param evidence what matters, in the order of the argument; what is said twice stands here once
   */
  private record Ask(Kind kind, Fact fact, String question, List<Sentence> evidence) {}

  /**
   * What was made.
   *
   * @param passages the documents in order
   * @param answered the questions, in an order that is drawn
   */
  record Made(List<Passage> passages, List<Answered> answered) {}

  /** A question with its answer and what matters for it. */
  record Answered(
      Kind kind,
      Fact fact,
      String question,
      Reply reply,
      List<Evidence> truth,
      List<Evidence> overridden) {}

  /**
   * Begins an empty context.
   *
   * @param mayInvent whether a statement may deviate from the world's facts: nobody knows them
   */
  ContextMaker(Draw draw, World world, ContextOptions options, boolean mayInvent) {
    this.draw = draw;
    this.world = world;
    this.options = options;
    this.mayInvent = mayInvent;
    this.wording = new Wording(world.lexicon(), draw, options.sharedBeginningShare());
  }

  /** Keeps a fact out of what is said besides; the hard ones have its subject or relation. */
  void guard(Fact fact) {
    guarded.add(fact.id());
    said.add(fact.id());
    near.add(fact);
  }

  /**
   * Asks something that the context is to answer, and says what that takes.
   *
   * @return whether there was something to ask
   */
  boolean ask(Kind kind) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      Fact fact = draw.from(world.facts());
      if (!said.contains(fact.id()) && ask(kind, fact)) {
        return true;
      }
    }
    return false;
  }

  private boolean ask(Kind kind, Fact fact) {
    List<Sentence> evidence = new ArrayList<>();
    switch (kind) {
      case DIRECT -> evidence.add(wording.statement(fact));
      case ALIAS -> {
        if (!fact.subject().hasAlias()) {
          return false;
        }
        evidence.add(linkOf(fact.subject()));
        evidence.add(wording.byAlias(fact));
      }
      case TWO_HOP -> {
        List<Fact> others = fact.relation().hops().isEmpty() ? List.of() : bridges(fact);
        if (others.isEmpty()) {
          return false;
        }
        Fact other = draw.from(others);
        guard(other);
        evidence.add(wording.hop(fact, other.subject()));
        evidence.add(wording.statement(other));
      }
      case DUPLICATED -> {
        evidence.add(wording.statement(fact));
      }
      case CONTRADICTED -> {
        evidence.add(wording.statement(fact));
        evidence.add(wording.statement(fact.with(world.otherObject(draw, fact))));
      }
      case INJECTED -> {
        evidence.add(wording.statement(fact));
        Sentence.Injection injection = wording.injection(fact.with(world.otherObject(draw, fact)));
        injections.add(injection);
        evidence.add(injection);
      }
      default -> throw new IllegalArgumentException(kind + " is not answered by a context");
    }
    guard(fact);
    for (Sentence sentence : evidence) {
      // The link of a person who was asked for by alias before stands there already.
      if (!(sentence instanceof Sentence.Injection) && !sentences.contains(sentence)) {
        sentences.add(sentence);
        if (kind == Kind.DUPLICATED) {
          sentences.add(sentence);
        }
      }
    }
    asks.add(new Ask(kind, fact, wording.question(fact), evidence));
    return true;
  }

  private Sentence linkOf(Entity person) {
    if (!linked.add(person.name())) {
      for (Sentence sentence : sentences) {
        if (sentence instanceof Sentence.Link link && link.person().equals(person)) {
          return sentence;
        }
      }
    }
    return wording.link(person);
  }

  /** Facts of others with the same object; if there are none, made up where that is allowed. */
  private List<Fact> bridges(Fact fact) {
    List<Fact> others = new ArrayList<>();
    for (Fact other : world.facts()) {
      if (isOfAnother(fact, other) && !said.contains(other.id()) && !world.isHeldOut(other)) {
        others.add(other);
      }
    }
    List<Fact> sharing =
        others.stream().filter(other -> other.object().equals(fact.object())).toList();
    return sharing.isEmpty() && mayInvent
        ? others.stream().map(other -> other.with(fact.object())).toList()
        : sharing;
  }

  private static boolean isOfAnother(Fact fact, Fact other) {
    return other.relation().name().equals(fact.relation().name())
        && !other.subject().name().equals(fact.subject().name());
  }

  /** How many sentences there are so far. */
  int size() {
    return sentences.size() + injections.size();
  }

  /**
   * Adds other sentences.
   *
   * @param count of sentences that the context is to have
   */
  void fill(int count) {
    List<Fact> all =
        draw.shuffled(
            world.facts().stream()
                .filter(fact -> !said.contains(fact.id()) && !world.isHeldOut(fact))
                .toList());
    Set<String> subjects = new HashSet<>();
    Set<String> relations = new HashSet<>();
    for (Fact fact : near) {
      subjects.add(fact.subject().name());
      relations.add(fact.relation().name());
    }
    Deque<Fact> any = new ArrayDeque<>(all);
    Deque<Fact> sameSubject =
        new ArrayDeque<>(
            all.stream().filter(fact -> subjects.contains(fact.subject().name())).toList());
    Deque<Fact> sameRelation =
        new ArrayDeque<>(
            all.stream().filter(fact -> relations.contains(fact.relation().name())).toList());
    while (size() < count) {
      if (draw.chance(options.fillerShare())) {
        sentences.add(wording.filler());
        continue;
      }
      Deque<Fact> from = any;
      if (draw.chance(options.hardShare())) {
        from = draw.chance(options.sameSubjectShare()) ? sameSubject : sameRelation;
      }
      Optional<Fact> fact = unsaid(from).or(() -> unsaid(any));
      if (fact.isPresent()) {
        say(fact.get(), count - size());
      } else {
        sentences.add(wording.filler()); // all is said
      }
    }
  }

  private Optional<Fact> unsaid(Deque<Fact> from) {
    while (!from.isEmpty()) {
      Fact fact = from.removeFirst();
      if (!said.contains(fact.id())) {
        return Optional.of(fact);
      }
    }
    return Optional.empty();
  }

  /** States a fact that nobody asks for. */
  private void say(Fact fact, int room) {
    said.add(fact.id());
    Entity subject = fact.subject();
    boolean isLinked = linked.contains(subject.name());
    if (subject.hasAlias()
        && (isLinked || room >= 2)
        && draw.chance(options.aliasStatementShare())) {
      if (!isLinked) {
        sentences.add(linkOf(subject));
      }
      sentences.add(wording.byAlias(fact));
      return;
    }
    if (!fact.relation().hops().isEmpty() && draw.chance(options.hopStatementShare())) {
      List<Fact> sharing =
          world.facts().stream()
              .filter(
                  other ->
                      isOfAnother(fact, other)
                          && other.object().equals(fact.object())
                          && !guarded.contains(other.id())
                          && !world.isHeldOut(other))
              .toList();
      if (!sharing.isEmpty()) {
        sentences.add(wording.hop(fact, draw.from(sharing).subject()));
        return;
      }
    }
    sentences.add(wording.statement(fact));
  }

  /**
   * Asks for what other sentences say, until there are enough questions or all is asked.
   *
   * @param count of questions that there are to be
   * @param kinds that may be asked
   */
  void askWhatIsSaid(int count, Set<Kind> kinds) {
    Set<String> asked = new HashSet<>();
    asks.forEach(ask -> asked.add(ask.fact().id()));
    for (Sentence sentence : draw.shuffled(sentences)) {
      if (asks.size() >= count) {
        return;
      }
      Optional<Ask> ask = askFor(sentence);
      if (ask.isPresent() && kinds.contains(ask.get().kind()) && asked.add(ask.get().fact().id())) {
        asks.add(ask.get());
      }
    }
  }

  private Optional<Ask> askFor(Sentence sentence) {
    if (sentence instanceof Sentence.Statement statement) {
      Fact fact = statement.fact();
      String question = wording.question(fact);
      return Optional.of(
          statement.byAlias()
              ? new Ask(Kind.ALIAS, fact, question, List.of(linkOf(fact.subject()), statement))
              : new Ask(Kind.DIRECT, fact, question, List.of(statement)));
    }
    if (sentence instanceof Sentence.Hop hop) {
      String id = Fact.id(hop.via(), hop.fact().relation());
      for (Sentence other : sentences) {
        if (other instanceof Sentence.Statement statement
            && !statement.byAlias()
            && statement.fact().id().equals(id)) {
          return Optional.of(
              new Ask(
                  Kind.TWO_HOP, hop.fact(), wording.question(hop.fact()), List.of(hop, statement)));
        }
      }
    }
    return Optional.empty();
  }

  /** Puts the sentences in order and into documents, and the questions in order. */
  Made make() {
    List<List<Sentence>> documents = List.of();
    for (int attempt = 0; documents.isEmpty(); attempt++) {
      if (attempt == ATTEMPTS) {
        throw new IllegalStateException(
            "no order of " + size() + " sentences keeps duplicates in different documents");
      }
      List<List<Sentence>> tried = dealtOut(draw.shuffled(sentences));
      if (duplicatesStandApart(tried)) {
        documents = tried;
      }
    }
    List<List<Sentence>> all = new ArrayList<>(documents);
    for (Sentence.Injection injection : injections) {
      all.add(draw.between(0, all.size()), List.of(injection));
    }
    List<Passage> passages = new ArrayList<>();
    List<Sentence> order = new ArrayList<>();
    List<Evidence> places = new ArrayList<>();
    for (List<Sentence> document : all) {
      TextBuilder text = new TextBuilder().document(document);
      String id = "doc-" + (passages.size() + 1);
      for (Span span : text.sentences()) {
        places.add(new Evidence(id, span, places.size()));
      }
      order.addAll(document);
      passages.add(new Passage(id, text.build().text(), text.sentences()));
    }
    List<Answered> answered = new ArrayList<>();
    for (Ask ask : draw.shuffled(asks)) {
      answered.add(answered(ask, order, places));
    }
    return new Made(passages, answered);
  }

  private List<List<Sentence>> dealtOut(List<Sentence> order) {
    List<List<Sentence>> documents = new ArrayList<>();
    int next = 0;
    while (next < order.size()) {
      int end = Math.min(order.size(), next + draw.between(1, options.maxSentencesPerDocument()));
      documents.add(order.subList(next, end));
      next = end;
    }
    return documents;
  }

  private boolean duplicatesStandApart(List<List<Sentence>> documents) {
    for (Ask ask : asks) {
      if (ask.kind() == Kind.DUPLICATED
          && documents.stream()
              .anyMatch(document -> Collections.frequency(document, ask.evidence().get(0)) > 1)) {
        return false;
      }
    }
    return true;
  }

  private static Answered answered(Ask ask, List<Sentence> order, List<Evidence> places) {
    List<Evidence> truth = new ArrayList<>();
    List<Evidence> overridden = new ArrayList<>();
    List<Sentence> quoted = ask.evidence();
    String answer = ask.fact().object();
    int[] at =
        IntStream.range(0, order.size())
            .filter(i -> ask.evidence().contains(order.get(i)))
            .toArray();
    for (int i : at) {
      if (isOverridden(ask.kind(), order, at, i)) {
        overridden.add(places.get(i));
      } else {
        truth.add(places.get(i));
      }
    }
    if (ask.kind() == Kind.CONTRADICTED) {
      Sentence.Statement last = (Sentence.Statement) order.get(at[at.length - 1]);
      quoted = List.of(last);
      answer = last.fact().object();
    } else if (ask.kind() == Kind.INJECTED) {
      quoted = quoted.stream().filter(Sentence.Injection.class::isInstance).toList();
      answer = ((Sentence.Injection) quoted.get(0)).statement().fact().object();
    }
    return new Answered(
        ask.kind(), ask.fact(), ask.question(), Reply.quoting(quoted, answer), truth, overridden);
  }

  private static boolean isOverridden(Kind kind, List<Sentence> order, int[] at, int i) {
    return switch (kind) {
      case CONTRADICTED -> i != at[at.length - 1];
      case INJECTED -> !(order.get(i) instanceof Sentence.Injection);
      default -> false;
    };
  }
}
