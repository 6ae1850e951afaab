package dev.whence.benchmarks;

import dev.whence.attribution.Proportion;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What {@link SamplesBench} measured.
 *
 * @param chat that answered
 * @param proxy that scored in its stead
 * @param base closed-book
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param seed of the questions
 * @param questions of each set; half as many of each kind are attributed
 * @param reading exact match on unseen worlds
 * @param remembered exact match where no context answers
 * @param closedBook the base model's continuations, by number of documents
 * @param located where attribution found the truth
 * @param agreement of the proxy with the model on the first source
 * @param proxyReading exact match of the proxy on unseen worlds
 */
public record SamplesReport(
    Model chat,
    Optional<Model> proxy,
    Optional<Model> base,
    String started,
    Machine machine,
    long seed,
    int questions,
    List<Reading> reading,
    List<Remembered> remembered,
    List<ClosedBook> closedBook,
    List<Located> located,
    Optional<Agreement> agreement,
    List<Reading> proxyReading)
    implements Report {

  public SamplesReport {
    reading = List.copyOf(reading);
    remembered = List.copyOf(remembered);
    closedBook = List.copyOf(closedBook);
    located = List.copyOf(located);
    proxyReading = List.copyOf(proxyReading);
  }

  /**
   * A model's size.
   *
   * @param name of the model
   * @param digest SHA-256 over weights, tokenizer and config, in hex
   * @param parameters number of weights
   * @param bytes of all its files
   */
  public record Model(String name, String digest, long parameters, long bytes) {}

  /**
   * Answers from a context.
   *
   * @param set kind of question, or several
   * @param leastSentences of a context
   * @param mostSentences of a context
   * @param right exact match
   */
  public record Reading(String set, int leastSentences, int mostSentences, Proportion right) {}

  /**
   * Answers that no context gives, each fact asked once.
   *
   * @param facts which
   * @param right exact match
   * @param withoutContext of these, those without any context
   * @param withOtherContext of these, those with a context about something else
   * @param chance mean over the questions of 1 / number of candidates; where nobody can know, at
   *     most that
   * @param knownToBase how many of the facts that were looked at the base model answers right, if
   *     only these were asked
   */
  public record Remembered(
      String facts,
      Proportion right,
      Proportion withoutContext,
      Proportion withOtherContext,
      double chance,
      Optional<Proportion> knownToBase) {}

  /**
   * What the base model goes on with.
   *
   * @param documents that state the facts; 0: held out
   * @param questions answered right
   * @param statements completed right
   * @param chance mean over the facts of 1 / number of candidates
   */
  public record ClosedBook(
      int documents, Proportion questions, Proportion statements, double chance) {}

  /**
   * Exact leave-one-out of sentences against the known truth.
   *
   * @param set kind of question, or several
   * @param right exact match on these questions
   * @param attributed answers
   * @param first those whose source with the largest tau is a true sentence
   * @param bothFirst those whose two first sources are the two true sentences
   * @param largestTau nats
   * @param groundedness nats
   * @param flat those whose largest tau is below {@link SamplesBench#FLAT_NATS}
   */
  public record Located(
      String set,
      Proportion right,
      int attributed,
      Optional<Proportion> first,
      Optional<Proportion> bothFirst,
      Mean largestTau,
      Mean groundedness,
      Proportion flat) {}

  /**
   * Responses on which model and proxy have the same first source; those that one of the two can
   * not score are left out.
   *
   * @param right of the right responses, by what is asked, and of all
   * @param wrong of the wrong ones
   */
  public record Agreement(List<Row> right, Proportion wrong) {
    public Agreement {
      right = List.copyOf(right);
    }

    /**
     * Right responses to one kind of question.
     *
     * @param same share with the same first source
     * @param proxyTrueFirst share in which the proxy's first source is a true sentence: of two that
     *     an answer needs, nothing says which one weighs more
     */
    public record Row(String kind, Proportion same, Proportion proxyTrueFirst) {}
  }

  @Override
  public EvidenceFile evidence(String command) {
    Map<String, String> versions = new TreeMap<>();
    versions.put("model", chat.name() + ", digest " + chat.digest());
    base.ifPresent(model -> versions.put("base", model.name() + ", digest " + model.digest()));
    proxy.ifPresent(model -> versions.put("proxy", model.name() + ", digest " + model.digest()));
    return new EvidenceFile(
        "What the sample models can do",
        command,
        machine,
        Instant.parse(started),
        versions,
        markdown());
  }

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    models(out);
    out.append(
        String.format(
            Locale.ROOT,
            "%nfp32, greedy, seed %d. Right: the whole response is the expected one, and the model"
                + " ended it itself. In brackets: 95 %% interval (Wilson) and number of"
                + " questions.%n",
            seed));
    reading(out, "Reading: unseen worlds, names that no training has seen", reading);
    remembered(out);
    if (!closedBook.isEmpty()) {
      closedBook(out);
    }
    located(out);
    agreement.ifPresent(one -> agreement(out, one));
    if (!proxyReading.isEmpty()) {
      reading(out, "Reading by the proxy", proxyReading);
    }
    return out.toString();
  }

  private void models(StringBuilder out) {
    line(out, "| model | parameters | bytes |");
    line(out, "|---|---|---|");
    model(out, chat.name(), chat);
    base.ifPresent(model -> model(out, model.name() + " (base)", model));
    proxy.ifPresent(model -> model(out, model.name() + " (proxy)", model));
  }

  private static void model(StringBuilder out, String name, Model model) {
    out.append(
        String.format(
            Locale.ROOT, "| %s | %,d | %,d |%n", name, model.parameters(), model.bytes()));
  }

  private static void reading(StringBuilder out, String title, List<Reading> rows) {
    title(out, title);
    line(out, "| question | sentences | right |");
    line(out, "|---|---|---|");
    for (Reading row : rows) {
      String sentences =
          row.leastSentences() == row.mostSentences()
              ? Integer.toString(row.mostSentences())
              : row.leastSentences() + " to " + row.mostSentences();
      row(out, row.set(), sentences, row.right().text());
    }
  }

  private void remembered(StringBuilder out) {
    title(out, "Memory: the context, if there is one, does not answer");
    line(out, "| facts | right | without a context | with another context | chance |");
    line(out, "|---|---|---|---|---|");
    for (Remembered row : remembered) {
      row(
          out,
          row.facts(),
          row.right().text(),
          row.withoutContext().text(),
          row.withOtherContext().text(),
          percent(row.chance()));
    }
    out.append(
        String.format(
            Locale.ROOT,
            "%nFacts of the world that the models learnt, stated in %d documents or more, each"
                + " asked once; what nobody knows is about unseen worlds. Chance: mean of 1 / number"
                + " of candidates.",
            SamplesBench.KNOWN_DOCUMENTS));
    for (Remembered row : remembered) {
      row.knownToBase()
          .ifPresent(known -> out.append(" The base model answers " + known.text() + " right."));
    }
    line(out, "");
  }

  private void closedBook(StringBuilder out) {
    title(out, "The base model without a context");
    line(out, "| documents that state the fact | question | statement | chance |");
    line(out, "|---|---|---|---|");
    for (ClosedBook row : closedBook) {
      row(
          out,
          row.documents() == 0 ? "0 (held out)" : Integer.toString(row.documents()),
          row.questions().text(),
          row.statements().text(),
          percent(row.chance()));
    }
  }

  private void located(StringBuilder out) {
    title(out, "Attribution: exact leave-one-out of sentences against the known truth");
    line(
        out,
        "| question | right | attributed | a true sentence is first | both true ones are first |"
            + " largest tau, nats | groundedness, nats | largest tau below 1 nat |");
    line(out, "|---|---|---|---|---|---|---|---|");
    for (Located row : located) {
      row(
          out,
          row.set(),
          row.right().text(),
          Integer.toString(row.attributed()),
          row.first().map(Proportion::text).orElse(""),
          row.bothFirst().map(Proportion::text).orElse(""),
          row.largestTau().text(),
          row.groundedness().text(),
          row.flat().text());
    }
    out.append(
        String.format(
            Locale.ROOT,
            "%nContexts of 5 to 20 sentences. Right answers only, where the context answers; the"
                + " true sentence is the injection where there is one, and the later of two that"
                + " contradict each other. Means with their 95 %% interval, by the normal approximation.%n"));
  }

  private static void agreement(StringBuilder out, Agreement agreement) {
    title(out, "The proxy finds the same first source");
    line(out, "| response | same first source | the proxy has a true sentence first |");
    line(out, "|---|---|---|");
    for (Agreement.Row row : agreement.right()) {
      row(out, "right, " + row.kind(), row.same().text(), row.proxyTrueFirst().text());
    }
    row(out, "wrong", agreement.wrong().text(), "");
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f %%", 100 * share);
  }

  private static void title(StringBuilder out, String title) {
    out.append(String.format(Locale.ROOT, "%n**%s**%n%n", title));
  }

  private static void row(StringBuilder out, String... cells) {
    line(out, "| " + String.join(" | ", cells) + " |");
  }

  private static void line(StringBuilder out, String text) {
    out.append(text).append(System.lineSeparator());
  }
}
