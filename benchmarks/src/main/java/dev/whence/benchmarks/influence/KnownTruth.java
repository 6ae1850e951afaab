package dev.whence.benchmarks.influence;

import dev.whence.conversation.Conversation;
import dev.whence.engine.Answerer;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.Document;
import dev.whence.samples.Fact;
import dev.whence.samples.Question;
import dev.whence.samples.Questions;
import dev.whence.samples.StatedFact;
import dev.whence.samples.StatedFact.Form;
import dev.whence.samples.World;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Questions without a context on facts that fine-tuning never asks and the model answers right: it
 * has the answer from the documents that state the fact, and from nowhere else.
 */
final class KnownTruth {
  private static final int ANSWER_TOKENS = 64;

  private KnownTruth() {}

  /**
   * Such questions.
   *
   * @param world whose facts
   * @param documents that the model was trained on
   * @param most so many at most, spread evenly over the world's facts
   * @throws IllegalArgumentException if there are none
   */
  static List<TruthQuery> of(World world, List<Document> documents, Path model, int most) {
    List<TruthQuery> found = new ArrayList<>();
    EngineOptions options = EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");
    try (LocalScorer scorer = LocalScorer.open(ModelFiles.open(model), options)) {
      Answerer answerer = new Answerer(scorer);
      for (TruthQuery query : stated(world, documents, most)) {
        Conversation answered = answerer.answer(query.question().conversation(), ANSWER_TOKENS);
        if (answered.response().equals(query.question().response())) {
          found.add(query);
        }
      }
    }
    if (found.isEmpty()) {
      throw new IllegalArgumentException(
          "the model answers none of the "
              + most
              + " questions as the documents have it, so there is nothing to ask about; take more"
              + " with --queries");
    }
    return found;
  }

  /** The same, with the right answers, whatever a model says. */
  static List<TruthQuery> stated(World world, List<Document> documents, int most) {
    Map<String, Map<Integer, Set<Form>>> stating = new HashMap<>();
    for (int i = 0; i < documents.size(); i++) {
      for (StatedFact stated : documents.get(i).facts()) {
        stating
            .computeIfAbsent(stated.fact(), fact -> new LinkedHashMap<>())
            .computeIfAbsent(i, document -> EnumSet.noneOf(Form.class))
            .add(stated.form());
      }
    }
    List<Fact> facts =
        world.facts().stream()
            .filter(fact -> !world.isAskedInFineTuning(fact) && stating.containsKey(fact.id()))
            .toList();
    List<TruthQuery> queries = new ArrayList<>();
    double step = Math.max(1, (double) facts.size() / most);
    for (double at = 0; at < facts.size() && queries.size() < most; at += step) {
      Fact fact = facts.get((int) at);
      Question question = Questions.withoutContext(fact, 0);
      queries.add(new TruthQuery(question, stating.getOrDefault(fact.id(), Map.of())));
    }
    return queries;
  }
}
