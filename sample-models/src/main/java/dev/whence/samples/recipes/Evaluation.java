package dev.whence.samples.recipes;

import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.Score;
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

/** What a model in training can do: how many questions it answers right, and with what loss. */
final class Evaluation {
  /** What answers say and the end of the turn count; nothing else. */
  private static final TokenWeights ANSWERS = new TokenWeights(0, 0, 1, 1);

  /** How the names of the sets without a context begin. */
  static final String MEMORY = "memory, ";

  static final String ASKED = MEMORY + "asked";
  private static final String NOT_ASKED = MEMORY + "not asked";
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
    evaluation.memory(world, tokenizer, form, ASKED, true, 4 * each);
    evaluation.memory(world, tokenizer, form, NOT_ASKED, false, 4 * each);
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
        name,
        world.facts().stream()
            .filter(
                fact ->
                    world.documents(fact) >= WELL_KNOWN && world.isAskedInFineTuning(fact) == asked)
            .limit(most)
            .map(fact -> Questions.withoutContext(fact, fact.id().length()))
            .map(question -> ANSWERS.example(form.apply(question), tokenizer))
            .toList());
  }

  /** Right answers and loss by set. */
  Map<String, Score> of(Trainer trainer) {
    Map<String, Score> scores = new LinkedHashMap<>();
    sets.forEach((name, examples) -> scores.put(name, Score.of(trainer, examples)));
    return scores;
  }
}
