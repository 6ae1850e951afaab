package dev.whence.samples;

import dev.whence.samples.StatedFact.Form;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The pretraining documents of a world.
 *
 * <p>Each fact that is not held out gets as many statements as {@link World#documents} says, each
 * in a form and a wording; the statements of all facts are shuffled and dealt out to documents so
 * that none states a fact twice. So a fact is stated in exactly so many distinct documents, and
 * since documents mix facts, taking one away takes statements of several facts away. A fact is
 * stated outright at least once: what is said in two hops can be found out from the corpus.
 *
 * <p>No two documents have the same text. Equal worlds and options give equal bytes.
 */
public final class Corpus {
  private static final int ATTEMPTS_PER_FILLER = 10;

  private final World world;
  private final CorpusOptions options;
  private final Draw draw;
  private final Wording wording;
  private final Set<String> texts = new HashSet<>();
  private final Map<String, List<Job>> jobsByFact = new HashMap<>();
  private final List<Document> documents;

  /** One statement to be made. */
  private static final class Job {
    final Fact fact;
    final Form form;
    final Entity via;
    final int turn;
    boolean done;

    /**
     * @param via the other subject of a TWO_HOP, else the fact's own
     * @param turn which of the fact's statements it is: the wordings are taken in turn
     */
    Job(Fact fact, Form form, Entity via, int turn) {
      this.fact = fact;
      this.form = form;
      this.via = via;
      this.turn = turn;
    }
  }

  public Corpus(World world, CorpusOptions options) {
    this.world = world;
    this.options = options;
    this.draw = Draw.of(options.seed(), "corpus of " + world.name());
    this.wording = new Wording(world.lexicon(), draw);
    List<Job> jobs = draw.shuffled(jobs());
    List<Document> made = new ArrayList<>();
    sentenceDocuments(jobs.stream().filter(job -> job.form != Form.QUESTION).toList(), made);
    questionDocuments(jobs.stream().filter(job -> job.form == Form.QUESTION).toList(), made);
    linkDocuments(made);
    List<Document> shuffled = draw.shuffled(made);
    List<Document> named = new ArrayList<>();
    for (int i = 0; i < shuffled.size(); i++) {
      Document document = shuffled.get(i);
      named.add(
          new Document(
              String.format("%s-%05d", world.name(), i),
              document.training(),
              document.sentences(),
              document.facts()));
    }
    this.documents = List.copyOf(named);
  }

  /** In an order that is drawn; ids are {@code <world>-<five digits>} in that order. */
  public List<Document> documents() {
    return documents;
  }

  private List<Job> jobs() {
    Map<String, List<Fact>> sharing = new HashMap<>();
    for (Fact fact : world.facts()) {
      if (!world.isHeldOut(fact)) {
        sharing.computeIfAbsent(sharedBy(fact), key -> new ArrayList<>()).add(fact);
      }
    }
    List<Job> jobs = new ArrayList<>();
    for (Fact fact : world.facts()) {
      List<Entity> vias =
          fact.relation().hops().isEmpty()
              ? List.of()
              : sharing.getOrDefault(sharedBy(fact), List.of()).stream()
                  .map(Fact::subject)
                  .filter(subject -> !subject.equals(fact.subject()))
                  .toList();
      List<Job> ofFact = new ArrayList<>();
      int first = draw.below(fact.relation().statements().size());
      for (int i = 0; i < world.documents(fact); i++) {
        // The first one is outright: see the class comment.
        Form form = i == 0 ? Form.DIRECT : form(fact, !vias.isEmpty());
        Entity via = form == Form.TWO_HOP ? draw.from(vias) : fact.subject();
        ofFact.add(new Job(fact, form, via, first + i));
      }
      jobsByFact.put(fact.id(), ofFact);
      jobs.addAll(ofFact);
    }
    return jobs;
  }

  private Form form(Fact fact, boolean canHop) {
    if (draw.chance(options.questionShare())) {
      return Form.QUESTION;
    }
    if (canHop && draw.chance(options.hopShare())) {
      return Form.TWO_HOP;
    }
    boolean alias = fact.subject().hasAlias() && draw.chance(options.aliasShare());
    return alias ? Form.ALIAS : Form.DIRECT;
  }

  private static String sharedBy(Fact fact) {
    return fact.relation().name() + " " + fact.object();
  }

  private void sentenceDocuments(List<Job> jobs, List<Document> made) {
    Deque<Job> queue = new ArrayDeque<>(jobs);
    while (!queue.isEmpty()) {
      List<Job> chosen = take(queue, draw.between(1, options.maxSentences()));
      if (!chosen.isEmpty()) {
        made.add(sentences(draw.shuffled(chosen)));
      }
    }
  }

  /** Up to {@code count} statements of distinct facts from the head of the queue. */
  private List<Job> take(Deque<Job> queue, int count) {
    List<Job> chosen = new ArrayList<>();
    Set<String> facts = new HashSet<>();
    List<Job> later = new ArrayList<>();
    while (chosen.size() < count && !queue.isEmpty()) {
      Job job = queue.removeFirst();
      if (job.done) {
        continue;
      }
      if (!facts.add(job.fact.id())) {
        later.add(job);
        continue;
      }
      job.done = true;
      chosen.add(job);
      if (job.form == Form.TWO_HOP
          && chosen.size() < count
          && draw.chance(options.companionShare())) {
        addCompanion(job, chosen, facts);
      }
    }
    for (int i = later.size() - 1; i >= 0; i--) {
      queue.addFirst(later.get(i));
    }
    return chosen;
  }

  /** What the other subject of a two-hop statement has, outright, if that is still to be said. */
  private void addCompanion(Job hop, List<Job> chosen, Set<String> facts) {
    String id = Fact.id(hop.via, hop.fact.relation());
    for (Job job : jobsByFact.getOrDefault(id, List.of())) {
      if (!job.done && job.form == Form.DIRECT && facts.add(id)) {
        job.done = true;
        chosen.add(job);
        return;
      }
    }
  }

  private Document sentences(List<Job> jobs) {
    int room = options.maxSentences() - jobs.size();
    Set<Job> linked = new HashSet<>();
    Set<String> names = new HashSet<>();
    for (Job job : jobs) {
      if (job.form == Form.ALIAS
          && draw.chance(options.linkShare())
          && room > 0
          && names.add(job.fact.subject().name())) {
        linked.add(job);
        room--;
      }
    }
    int fillers = draw.chance(options.fillerShare()) && room > 0 ? 1 : 0;
    for (int attempt = 0; ; attempt++) {
      List<Sentence> sentences = new ArrayList<>();
      List<StatedFact> facts = new ArrayList<>();
      int fillerAt = draw.between(0, jobs.size());
      for (int i = 0; i <= jobs.size(); i++) {
        // A text that is there already: other wordings, then more filler.
        for (int k = 0; i == fillerAt && k < fillers + attempt / ATTEMPTS_PER_FILLER; k++) {
          sentences.add(wording.filler());
        }
        if (i < jobs.size()) {
          Job job = jobs.get(i);
          if (linked.contains(job)) {
            sentences.add(wording.link(job.fact.subject()));
          }
          facts.add(new StatedFact(job.fact.id(), sentences.size(), job.form));
          sentences.add(sentence(job, attempt));
        }
      }
      TextBuilder text = new TextBuilder().document(sentences);
      TrainingText training = text.build();
      if (texts.add(training.text())) {
        return new Document("", training, text.sentences(), facts);
      }
    }
  }

  private Sentence sentence(Job job, int attempt) {
    List<String> templates = job.fact.relation().statements();
    String template =
        attempt == 0 ? templates.get(job.turn % templates.size()) : draw.from(templates);
    return switch (job.form) {
      case ALIAS -> Wording.byAlias(job.fact, template);
      case TWO_HOP -> wording.hop(job.fact, job.via);
      default -> Wording.statement(job.fact, template);
    };
  }

  private void questionDocuments(List<Job> jobs, List<Document> made) {
    Deque<Job> queue = new ArrayDeque<>(jobs);
    while (!queue.isEmpty()) {
      made.add(questions(take(queue, draw.between(1, options.maxQuestions()))));
    }
  }

  private Document questions(List<Job> jobs) {
    for (int attempt = 0; ; attempt++) {
      TextBuilder text = new TextBuilder();
      List<StatedFact> facts = new ArrayList<>();
      for (Job job : jobs) {
        facts.add(new StatedFact(job.fact.id(), facts.size(), Form.QUESTION));
        text.questionAndAnswer(wording.question(job.fact), Reply.remembered(job.fact));
      }
      // A text that is there already: other wordings, then a line of filler after it.
      for (int i = 0; i < attempt / ATTEMPTS_PER_FILLER; i++) {
        text.document(List.of(wording.filler())).append("\n");
      }
      if (texts.add(text.build().text())) {
        return new Document("", text.build(), text.sentences(), facts);
      }
    }
  }

  private void linkDocuments(List<Document> made) {
    for (Entity person : world.entities()) {
      for (int i = 0; person.hasAlias() && i < options.linkDocuments(); i++) {
        made.add(linkDocument(person, i));
      }
    }
  }

  private Document linkDocument(Entity person, int turn) {
    List<String> templates = world.lexicon().aliases();
    List<Sentence> sentences = new ArrayList<>();
    sentences.add(Wording.link(person, templates.get(turn % templates.size())));
    while (true) {
      TextBuilder text = new TextBuilder().document(sentences);
      TrainingText training = text.build();
      if (texts.add(training.text())) {
        return new Document("", training, text.sentences(), List.of());
      }
      sentences.add(wording.filler());
    }
  }
}
