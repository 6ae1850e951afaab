package dev.whence.samples.recipes;

import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.Trainer;
import dev.whence.samples.Kind;
import dev.whence.samples.Question;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.TrainingText;
import dev.whence.samples.World;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * What a model in training can do: the share of questions whose whole answer is the most probable
 * one, token by token, which is what greedy generation would say.
 */
final class Evaluation {
  /** What answers say and the end of the turn count; nothing else. */
  private static final TokenWeights ANSWERS = new TokenWeights(0, 0, 1, 1);

  private static final long SEED = 900;
  private static final int WELL_KNOWN = 8;

  private final Map<String, List<Example>> sets = new LinkedHashMap<>();

  /**
   * Memory of the world by whether fine-tuning asks, and reading by kind and length on unseen
   * worlds.
   *
   * @param reads whether reading is evaluated
   */
  static Evaluation of(
      World world,
      boolean reads,
      Tokenizer tokenizer,
      Function<Question, TrainingText> form,
      int each) {
    Evaluation evaluation = new Evaluation();
    if (reads) {
      evaluation.reading(world, tokenizer, form, each);
    }
    evaluation.memory(world, tokenizer, form, "asked", true, 4 * each);
    evaluation.memory(world, tokenizer, form, "not asked", false, 4 * each);
    return evaluation;
  }

  private void reading(
      World world, Tokenizer tokenizer, Function<Question, TrainingText> form, int each) {
    for (int sentences : new int[] {5, 12, 40}) {
      for (Kind kind : List.of(Kind.DIRECT, Kind.ALIAS, Kind.TWO_HOP)) {
        Questions questions =
            new Questions(
                world, QuestionOptions.evaluation(SEED, kind).withSentences(sentences, sentences));
        List<Example> examples = new ArrayList<>();
        for (int i = 0; i < each; i++) {
          examples.add(ANSWERS.example(form.apply(questions.question(i)), tokenizer));
        }
        sets.put(kind + "@" + sentences, examples);
      }
    }
  }

  /** Facts that at least eight documents state. */
  private void memory(
      World world,
      Tokenizer tokenizer,
      Function<Question, TrainingText> form,
      String name,
      boolean asked,
      int most) {
    sets.put(
        "memory, " + name,
        world.facts().stream()
            .filter(
                fact ->
                    world.documents(fact) >= WELL_KNOWN && world.isAskedInFineTuning(fact) == asked)
            .limit(most)
            .map(fact -> Questions.withoutContext(fact, fact.id().length()))
            .map(question -> ANSWERS.example(form.apply(question), tokenizer))
            .toList());
  }

  /** Share of right answers by set. */
  Map<String, Double> of(Trainer trainer) {
    Map<String, Double> shares = new LinkedHashMap<>();
    sets.forEach(
        (name, examples) -> {
          int right = 0;
          for (boolean exact : trainer.exact(examples)) {
            right += exact ? 1 : 0;
          }
          shares.put(name, (double) right / examples.size());
        });
    return shares;
  }
}
