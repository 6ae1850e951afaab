package dev.whence.benchmarks;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.Proportion;
import dev.whence.benchmarks.SampleModel.Attributed;
import dev.whence.benchmarks.SamplesReport.Agreement;
import dev.whence.benchmarks.SamplesReport.ClosedBook;
import dev.whence.benchmarks.SamplesReport.Located;
import dev.whence.benchmarks.SamplesReport.Reading;
import dev.whence.benchmarks.SamplesReport.Remembered;
import dev.whence.conversation.Conversation;
import dev.whence.samples.Evidence;
import dev.whence.samples.Fact;
import dev.whence.samples.Kind;
import dev.whence.samples.Probe;
import dev.whence.samples.Question;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.Range;
import dev.whence.samples.Relation;
import dev.whence.samples.Sizes;
import dev.whence.samples.World;
import dev.whence.samples.recipes.Recipes;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * What the sample models can do, and how well attribution finds what is known to be true of their
 * answers:
 *
 * <ol>
 *   <li>reading: questions about unseen worlds, whose names no training has seen, by {@link Kind};
 *   <li>memory: questions whose context, if there is one, does not answer them, about facts of the
 *       world that the models learnt, and about what nobody can know;
 *   <li>the base model's memory, by the number of documents that state a fact;
 *   <li>exact leave-one-out on answers: whether the sources with the largest tau are the sentences
 *       that the question was made from;
 *   <li>whether a proxy finds the same source on the same response.
 * </ol>
 *
 * <p>An answer is right if it is the expected one, word by word, and the model ended it itself.
 * Questions are pure functions of a seed that no training and no evaluation in training uses.
 */
public final class SamplesBench {
  static final long SEED = 7_001;

  /** Tau below this says that no source alone drove the response. */
  static final double FLAT_NATS = 1;

  /** Fewest documents that state a fact which a model is expected to remember. */
  static final int KNOWN_DOCUMENTS = 10;

  private static final int SHORTEST = 5;
  private static final int LONGEST = 40;
  private static final int LONGEST_ATTRIBUTED = 20;

  private static final List<Kind> READING = List.of(Kind.DIRECT, Kind.ALIAS, Kind.TWO_HOP);
  private static final List<Kind> FURTHER =
      List.of(Kind.DUPLICATED, Kind.CONTRADICTED, Kind.INJECTED);
  private static final String TOGETHER = "DIRECT, ALIAS, TWO_HOP";

  private final World world = World.v1(Recipes.WORLD_SEED);
  private final SampleModel chat;
  private final Optional<SampleModel> proxy;
  private final Optional<SampleModel> base;
  private final int questions;
  private final Consumer<String> progress;

  SamplesBench(
      SampleModel chat,
      Optional<SampleModel> proxy,
      Optional<SampleModel> base,
      int questions,
      Consumer<String> progress) {
    this.chat = chat;
    this.proxy = proxy;
    this.base = base;
    this.questions = questions;
    this.progress = progress;
  }

  /**
   * What to measure.
   *
   * @param model that answers
   * @param proxy that scores in its stead
   * @param base that the first one was fine-tuned from
   * @param questions of each set
   */
  public record Options(Path model, Optional<Path> proxy, Optional<Path> base, int questions) {
    public Options {
      if (questions < 1) {
        throw new IllegalArgumentException("questions must be 1 or more, not " + questions);
      }
    }
  }

  /**
   * Runs the benchmark.
   *
   * @param progress is told what is going on, one sentence at a time
   * @throws IOException if a model's files can not be read
   */
  public static SamplesReport run(Options options, Consumer<String> progress) throws IOException {
    List<SampleModel> opened = new ArrayList<>();
    try {
      SampleModel chat = open(options.model(), progress, opened);
      Optional<SampleModel> proxy = Optional.empty();
      if (options.proxy().isPresent()) {
        proxy = Optional.of(open(options.proxy().get(), progress, opened));
      }
      Optional<SampleModel> base = Optional.empty();
      if (options.base().isPresent()) {
        base = Optional.of(open(options.base().get(), progress, opened));
      }
      return new SamplesBench(chat, proxy, base, options.questions(), progress).run();
    } finally {
      opened.forEach(SampleModel::close);
    }
  }

  private static SampleModel open(Path model, Consumer<String> progress, List<SampleModel> opened)
      throws IOException {
    SampleModel one = LocalSampleModel.open(model, progress);
    opened.add(one);
    return one;
  }

  SamplesReport run() {
    final Instant started = Instant.now();
    final Machine machine = Machine.here();
    final List<Reading> reading = reading();
    final List<Remembered> remembered = remembered();
    final List<ClosedBook> closedBook = base.map(this::closedBook).orElse(List.of());
    Agreed agreed = new Agreed();
    final List<Located> located = located(agreed);
    final List<Reading> proxyReading = proxy.map(this::proxyReading).orElse(List.of());
    return new SamplesReport(
        chat.figures(),
        proxy.map(SampleModel::figures),
        base.map(SampleModel::figures),
        started.toString(),
        machine,
        SEED,
        questions,
        reading,
        remembered,
        closedBook,
        located,
        proxy.map(any -> agreed.agreement()),
        proxyReading);
  }

  /** Counts. */
  private static final class Tally {
    private int hits;
    private int of;

    void add(boolean hit) {
      hits += hit ? 1 : 0;
      of++;
    }

    void add(Tally other) {
      hits += other.hits;
      of += other.of;
    }

    Proportion proportion() {
      return Proportion.of(hits, of);
    }
  }

  private static boolean isRight(Question question, Conversation answered) {
    return answered.finishReason().equals("stop")
        && answered.response().equals(question.response());
  }

  private List<Reading> reading() {
    List<Reading> reading = new ArrayList<>(reading(chat, "reading", SHORTEST, LONGEST));
    for (Kind kind : FURTHER) {
      Tally tally = read(chat, "reading", kind, SHORTEST, LONGEST);
      reading.add(new Reading(kind.name(), SHORTEST, LONGEST, tally.proportion()));
    }
    reading.addAll(reading(chat, "reading", LONGEST, LONGEST));
    return reading;
  }

  private List<Reading> proxyReading(SampleModel model) {
    return reading(model, "reading by the proxy", SHORTEST, LONGEST);
  }

  /** Questions that are answered by one or two sentences, by kind and together. */
  private List<Reading> reading(SampleModel model, String what, int least, int most) {
    List<Reading> reading = new ArrayList<>();
    Tally together = new Tally();
    for (Kind kind : READING) {
      Tally tally = read(model, what, kind, least, most);
      reading.add(new Reading(kind.name(), least, most, tally.proportion()));
      together.add(tally);
    }
    reading.add(new Reading(TOGETHER, least, most, together.proportion()));
    return reading;
  }

  private Tally read(SampleModel model, String what, Kind kind, int least, int most) {
    Questions asked = questions(kind, least, most);
    Tally tally = new Tally();
    for (int i = 0; i < questions; i++) {
      Question question = asked.question(i);
      tally.add(isRight(question, model.answer(question.conversation())));
    }
    String lengths = least == most ? "" + most : least + " to " + most;
    progress.accept(
        what + ", " + kind + ", " + lengths + " sentences: " + tally.proportion().text());
    return tally;
  }

  private Questions questions(Kind kind, int least, int most) {
    return new Questions(
        world,
        QuestionOptions.evaluation(SEED, kind)
            .withSentences(least, most)
            .withMemory(0, false, KNOWN_DOCUMENTS));
  }

  private List<Remembered> remembered() {
    return List.of(memoryOfFactsNotAsked(), remembered(true, Optional.empty()), unknown());
  }

  Remembered memoryOfFactsNotAsked() {
    return remembered(false, base);
  }

  /**
   * Facts that enough documents state, each once, with or without another context.
   *
   * @param knower leaves out the facts that it does not answer right
   */
  private Remembered remembered(boolean asked, Optional<SampleModel> knower) {
    Questions drawn =
        new Questions(
            world,
            QuestionOptions.evaluation(SEED, Kind.NO_ANSWER_KNOWN)
                .withSentences(SHORTEST, LONGEST)
                .withMemory(0, asked, KNOWN_DOCUMENTS));
    long facts =
        world.facts().stream()
            .filter(
                fact ->
                    world.documents(fact) >= KNOWN_DOCUMENTS
                        && world.isAskedInFineTuning(fact) == asked)
            .count();
    Set<String> seen = new HashSet<>();
    Memory memory = new Memory();
    Tally known = new Tally();
    for (int i = 0; seen.size() < facts && memory.all.of < questions; i++) {
      Question question = drawn.question(i);
      if (seen.add(question.fact())) {
        boolean counts =
            knower.isEmpty()
                || knower.get().continues(probe(question, world.fact(question.fact())));
        known.add(counts);
        if (counts) {
          Relation relation = world.fact(question.fact()).relation();
          memory.add(question, answerRight(question), world.candidates(relation).size());
        }
      }
    }
    return memory.remembered(
        asked
            ? "asked in fine-tuning"
            : "not asked in fine-tuning" + (knower.isPresent() ? ", known to the base model" : ""),
        knower.map(any -> known.proportion()),
        progress);
  }

  private Remembered unknown() {
    Questions drawn = questions(Kind.NO_ANSWER_UNKNOWN, SHORTEST, LONGEST);
    Memory memory = new Memory();
    for (int i = 0; i < questions; i++) {
      Question question = drawn.question(i);
      memory.add(question, answerRight(question), unseenCandidates(question));
    }
    return memory.remembered("known to nobody", Optional.empty(), progress);
  }

  private boolean answerRight(Question question) {
    return isRight(question, chat.answer(question.conversation()));
  }

  /** The same question as a base model is asked it. */
  private static Probe probe(Question question, Fact fact) {
    return Probe.of(fact).stream()
        .filter(probe -> probe.form() == Probe.Form.QUESTION)
        .filter(probe -> probe.prompt().contains(question.question()))
        .findFirst()
        .orElseThrow(
            () -> new IllegalStateException("no probe asks '" + question.question() + "'"));
  }

  /** How many answers there are to guess from, at least, in the throw-away world of a question. */
  private int unseenCandidates(Question question) {
    String name = question.fact().substring(question.fact().lastIndexOf('.') + 1);
    Relation relation =
        world.lexicon().relations().stream()
            .filter(one -> one.name().equals(name))
            .findFirst()
            .orElseThrow(() -> new IllegalStateException("there is no relation '" + name + "'"));
    Sizes least = QuestionOptions.evaluation(SEED, question.kind()).context().leastEntities();
    if (relation.range() instanceof Range.Words words) {
      return words.words().size();
    }
    return switch (((Range.Entities) relation.range()).type()) {
      case PERSON -> least.persons();
      case COMPANY -> least.companies();
      case TOWN -> least.towns();
      case RIVER -> least.rivers();
    };
  }

  /** What is remembered of one set of facts. */
  private static final class Memory {
    private final Tally all = new Tally();
    private final Tally bare = new Tally();
    private final Tally amongOthers = new Tally();
    private double chances;

    void add(Question question, boolean right, int candidates) {
      all.add(right);
      (question.passages().isEmpty() ? bare : amongOthers).add(right);
      chances += 1.0 / candidates;
    }

    Remembered remembered(String facts, Optional<Proportion> known, Consumer<String> progress) {
      progress.accept("memory, facts " + facts + ": " + all.proportion().text());
      return new Remembered(
          facts,
          all.proportion(),
          bare.proportion(),
          amongOthers.proportion(),
          all.of == 0 ? 0 : chances / all.of,
          known);
    }
  }

  private List<ClosedBook> closedBook(SampleModel model) {
    Map<Integer, List<Fact>> byDocuments = new TreeMap<>();
    for (Fact fact : world.facts()) {
      byDocuments.computeIfAbsent(world.documents(fact), key -> new ArrayList<>()).add(fact);
    }
    List<ClosedBook> rows = new ArrayList<>();
    byDocuments.forEach(
        (documents, facts) -> {
          Collections.shuffle(facts, new Random(SEED));
          List<Fact> some = facts.subList(0, Math.min(questions, facts.size()));
          Tally asked = new Tally();
          Tally begun = new Tally();
          double chances = 0;
          for (int i = 0; i < some.size(); i++) {
            chances += 1.0 / world.candidates(some.get(i).relation()).size();
            probe(model, some.get(i), Probe.Form.QUESTION, i, asked);
            probe(model, some.get(i), Probe.Form.STATEMENT, i, begun);
          }
          progress.accept(
              "the base model on facts of "
                  + documents
                  + (documents == 1 ? " document: " : " documents: ")
                  + asked.proportion().text());
          rows.add(
              new ClosedBook(
                  documents, asked.proportion(), begun.proportion(), chances / some.size()));
        });
    return rows;
  }

  /** One wording of a form, in turn, if the fact's relation has any. */
  private static void probe(SampleModel model, Fact fact, Probe.Form form, int turn, Tally tally) {
    List<Probe> probes = Probe.of(fact).stream().filter(one -> one.form() == form).toList();
    if (!probes.isEmpty()) {
      tally.add(model.continues(probes.get(turn % probes.size())));
    }
  }

  /** What the proxy's first source is, beside the model's, on some responses. */
  private static final class Firsts {
    private final Tally same = new Tally();
    private final Tally proxyTrue = new Tally();

    void add(Question question, SourceScore byModel, SourceScore byProxy) {
      same.add(
          byModel.segment().equals(byProxy.segment()) && byModel.span().equals(byProxy.span()));
      proxyTrue.add(question.truth().stream().anyMatch(one -> holds(byProxy, one)));
    }

    void add(Firsts other) {
      same.add(other.same);
      proxyTrue.add(other.proxyTrue);
    }

    Agreement.Row row(String kind) {
      return new Agreement.Row(kind, same.proportion(), proxyTrue.proportion());
    }
  }

  /** The same on right responses, by kind, and on wrong ones. */
  private static final class Agreed {
    private final Map<Kind, Firsts> right = new EnumMap<>(Kind.class);
    private final Firsts wrong = new Firsts();

    Firsts of(Kind kind, boolean isRight) {
      return isRight ? right.computeIfAbsent(kind, any -> new Firsts()) : wrong;
    }

    Agreement agreement() {
      List<Agreement.Row> rows = new ArrayList<>();
      Firsts all = new Firsts();
      right.forEach(
          (kind, firsts) -> {
            rows.add(firsts.row(kind.name()));
            all.add(firsts);
          });
      rows.add(all.row(TOGETHER));
      return new Agreement(rows, wrong.same.proportion());
    }
  }

  private List<Located> located(Agreed agreed) {
    List<Located> rows = new ArrayList<>();
    Finds together = new Finds();
    for (Kind kind : READING) {
      rows.add(inContext(kind, agreed, together));
    }
    rows.add(together.located(TOGETHER, true, false));
    for (Kind kind : FURTHER) {
      rows.add(inContext(kind, agreed, new Finds()));
    }
    rows.addAll(notInContext(Kind.NO_ANSWER_KNOWN));
    rows.addAll(notInContext(Kind.NO_ANSWER_UNKNOWN));
    return rows;
  }

  /** What was found on the answers to some questions. */
  private static final class Finds {
    private final Tally right = new Tally();
    private final Tally first = new Tally();
    private final Tally bothFirst = new Tally();
    private final Tally flat = new Tally();
    private final List<Double> largest = new ArrayList<>();
    private final List<Double> groundedness = new ArrayList<>();

    void add(Question question, Attributed attributed) {
      List<SourceScore> ranking = ranking(attributed);
      if (ranking.isEmpty()) {
        return;
      }
      List<Evidence> truth = question.truth();
      first.add(truth.stream().anyMatch(one -> holds(ranking.get(0), one)));
      if (truth.size() == 2) {
        List<SourceScore> top = ranking.subList(0, Math.min(2, ranking.size()));
        bothFirst.add(
            truth.stream().allMatch(one -> top.stream().anyMatch(source -> holds(source, one))));
      }
      double tau = ranking.get(0).tau();
      largest.add(tau);
      flat.add(tau < FLAT_NATS);
      groundedness.add(attributed.groundedness());
    }

    Located located(String set, boolean truth, boolean both) {
      return new Located(
          set,
          right.proportion(),
          largest.size(),
          truth ? Optional.of(first.proportion()) : Optional.empty(),
          both ? Optional.of(bothFirst.proportion()) : Optional.empty(),
          Mean.of(largest),
          Mean.of(groundedness),
          flat.proportion());
    }
  }

  /** Right answers are attributed; with a proxy, wrong ones to questions of reading too. */
  private Located inContext(Kind kind, Agreed agreed, Finds together) {
    Questions asked = questions(kind, SHORTEST, LONGEST_ATTRIBUTED);
    Finds finds = new Finds();
    boolean compared = proxy.isPresent() && READING.contains(kind);
    for (int i = 0; i < perKind(); i++) {
      Question question = asked.question(i);
      Conversation answered = chat.answer(question.conversation());
      boolean right = isRight(question, answered);
      finds.right.add(right);
      together.right.add(right);
      if (right || compared) {
        Optional<Attributed> attributed = chat.attribute(answered);
        if (right && attributed.isPresent()) {
          finds.add(question, attributed.get());
          together.add(question, attributed.get());
        }
        if (compared && attributed.isPresent()) {
          compare(question, answered, attributed.get(), agreed.of(kind, right));
        }
      }
    }
    boolean two = kind == Kind.ALIAS || kind == Kind.TWO_HOP;
    Located located = finds.located(kind.name(), true, two);
    progress.accept(
        "attribution, "
            + kind
            + ": a true sentence is first in "
            + finds.first.proportion().text());
    return located;
  }

  private void compare(
      Question question, Conversation answered, Attributed attributed, Firsts firsts) {
    List<SourceScore> byModel = ranking(attributed);
    List<SourceScore> byProxy =
        proxy
            .flatMap(model -> model.attribute(answered))
            .map(SamplesBench::ranking)
            .orElse(List.of());
    if (!byModel.isEmpty() && !byProxy.isEmpty()) {
      firsts.add(question, byModel.get(0), byProxy.get(0));
    }
  }

  /** All answers are attributed, where there is a context that could mislead. */
  private List<Located> notInContext(Kind kind) {
    Questions asked = questions(kind, SHORTEST, LONGEST_ATTRIBUTED);
    Finds all = new Finds();
    Finds ofRight = new Finds();
    for (int i = 0; all.right.of < perKind(); i++) {
      Question question = asked.question(i);
      if (question.passages().isEmpty()) {
        continue;
      }
      Conversation answered = chat.answer(question.conversation());
      boolean right = isRight(question, answered);
      all.right.add(right);
      Optional<Attributed> attributed = chat.attribute(answered);
      if (attributed.isPresent()) {
        all.add(question, attributed.get());
        if (right) {
          ofRight.right.add(true);
          ofRight.add(question, attributed.get());
        }
      }
    }
    progress.accept(
        "attribution, "
            + kind
            + ": the largest tau is below "
            + FLAT_NATS
            + " nat in "
            + all.flat.proportion().text());
    List<Located> rows = new ArrayList<>();
    rows.add(all.located(kind + ", all answers", false, false));
    if (kind == Kind.NO_ANSWER_KNOWN) {
      rows.add(ofRight.located(kind + ", right answers", false, false));
    }
    return rows;
  }

  private int perKind() {
    return Math.max(1, questions / 2);
  }

  /** The sources by tau, the largest first; of equals that which stands first. */
  private static List<SourceScore> ranking(Attributed attributed) {
    return attributed.sources().stream()
        .sorted(Comparator.comparingDouble(SourceScore::tau).reversed())
        .toList();
  }

  /** Whether a source is the sentence, with or without the white space after it. */
  private static boolean holds(SourceScore source, Evidence sentence) {
    return source.segment().equals(sentence.part())
        && source.span().start() < sentence.span().end()
        && sentence.span().start() < source.span().end();
  }
}
