package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

class QuestionsTest {
  private static final World V1 = World.v1(1);
  private static final Reply MANDEL =
      new Reply("It is Mandel.", new Span(6, 12), List.of(new Span(6, 13)));
  private static final Kind[] IN_CONTEXT = {
    Kind.DIRECT, Kind.ALIAS, Kind.TWO_HOP, Kind.DUPLICATED, Kind.CONTRADICTED, Kind.INJECTED
  };

  @Property(tries = 300)
  void aContextHasTheAskedNumberOfSentencesInDocumentsOfOneToSix(
      @ForAll Kind kind,
      @ForAll @IntRange(min = 2, max = 40) int sentences,
      @ForAll @LongRange(min = 0, max = 1_000_000) long index) {
    QuestionOptions options = evaluation(kind, sentences, sentences);
    Question question = new Questions(V1, options).question(index);
    if (question.passages().isEmpty()) {
      assertThat(kind.isInContext()).isFalse();
      return;
    }
    assertThat(question.sentences()).isEqualTo(sentences);
    for (Passage passage : question.passages()) {
      assertThat(passage.sentences().size()).isBetween(1, 6);
      assertThat(
              passage.sentences().stream()
                  .map(span -> span.in(passage.text()))
                  .collect(Collectors.joining(" ")))
          .isEqualTo(passage.text());
    }
  }

  @Property(tries = 400)
  void theTruthEntailsTheAnswerAndNothingElseDoes(
      @ForAll @IntRange(min = 0, max = 5) int kindIndex,
      @ForAll @IntRange(min = 2, max = 40) int sentences,
      @ForAll boolean againstMemory,
      @ForAll @LongRange(min = 0, max = 1_000_000) long index) {
    Kind kind = IN_CONTEXT[kindIndex];
    QuestionOptions options =
        againstMemory
            ? trainingAgainstMemory(kind).withSentences(sentences, sentences)
            : evaluation(kind, sentences, sentences);
    entails(new Questions(V1, options).question(index));
  }

  @Property(tries = 200)
  void aSentenceThatIsLeftOutTakesTheSpaceAfterItAndNothingElse(
      @ForAll @LongRange(min = 0, max = 1_000_000) long index,
      @ForAll @IntRange(min = 2, max = 40) int sentences,
      @ForAll @IntRange(min = 0, max = 1) int needed) {
    Question question =
        new Questions(V1, evaluation(Kind.TWO_HOP, sentences, sentences)).question(index);
    Evidence out = question.truth().get(needed);
    Question without = question.without(out.sentence());
    assertThat(without.sentences()).isEqualTo(sentences - 1);
    assertThat(without.response()).isEqualTo(question.response());
    for (int i = 0; i < question.passages().size(); i++) {
      Passage before = question.passages().get(i);
      Passage after = without.passages().get(i);
      if (before.id().equals(out.part())) {
        String sentence = out.span().in(before.text());
        String rest = before.text().substring(out.span().end());
        String lead = before.text().substring(0, out.span().start());
        assertThat(after.text()).isEqualTo(lead + rest.stripLeading()).doesNotContain(sentence);
        List<String> others =
            new ArrayList<>(before.sentences().stream().map(s -> s.in(before.text())).toList());
        others.remove(sentence);
        assertThat(after.sentences().stream().map(s -> s.in(after.text()))).isEqualTo(others);
      } else {
        assertThat(after).isEqualTo(before);
      }
    }
  }

  @Test
  void ofThreeInFiveAblatedQuestionsASentenceIsMissingThatTheAnswerRestsOn() {
    Questions questions = new Questions(V1, evaluation(Kind.ALIAS, 12, 12));
    int whole = 0;
    int needed = 0;
    for (int i = 0; i < 1000; i++) {
      Question question = questions.question(i);
      Question ablated = questions.ablated(i);
      assertThat(ablated.reply()).isEqualTo(question.reply());
      if (ablated.sentences() == 12) {
        assertThat(ablated).isEqualTo(question);
        whole++;
      } else {
        String left = ablated.prompt();
        boolean there =
            question.truth().stream()
                .allMatch(
                    one ->
                        left.contains(
                            one.span()
                                .in(
                                    question.passages().stream()
                                        .filter(passage -> passage.id().equals(one.part()))
                                        .findFirst()
                                        .orElseThrow()
                                        .text())));
        needed += there ? 0 : 1;
      }
    }
    assertThat(whole).isBetween(160, 240); // .2
    assertThat(needed).isBetween(560, 710); // .6, and by chance 1 in 6 of the others' .2
  }

  @Property(tries = 200)
  void everyQuestionOfADialogueHasItsTruthInTheSameContext(
      @ForAll @LongRange(min = 0, max = 1_000_000) long index,
      @ForAll @IntRange(min = 2, max = 40) int sentences) {
    QuestionOptions options =
        QuestionOptions.training(5)
            .withMix(KindShare.equal(IN_CONTEXT), 4, 8)
            .withSentences(sentences, sentences);
    Dialogue dialogue = new Questions(V1, options).dialogue(index);
    Set<String> asked = new HashSet<>();
    for (Question question : dialogue.questions()) {
      assertThat(question.passages()).isEqualTo(dialogue.questions().get(0).passages());
      assertThat(asked.add(question.fact())).isTrue();
      assertThat(question.sentences()).isEqualTo(sentences);
      entails(question);
    }
    if (dialogue.questions().get(0).kind() == Kind.INJECTED) {
      assertThat(dialogue.questions()).hasSize(1);
    } else {
      assertThat(dialogue.questions().size()).isBetween(1, 8);
    }
  }

  @Test
  void dialoguesAskAsMuchAsTheyAreToldIfTheContextIsLong() {
    QuestionOptions options =
        QuestionOptions.training(5)
            .withMix(KindShare.equal(Kind.DIRECT, Kind.ALIAS, Kind.TWO_HOP), 6, 6)
            .withSentences(30, 30);
    Questions questions = new Questions(V1, options);
    for (int i = 0; i < 50; i++) {
      assertThat(questions.dialogue(i).questions()).hasSize(6);
    }
  }

  /** Reads the context as a careful reader would, by the templates alone. */
  private static void entails(Question question) {
    String subject = question.fact().substring(0, question.fact().indexOf('.'));
    Relation relation =
        V1.lexicon().relation(question.fact().substring(question.fact().indexOf('.') + 1));
    Reader reader = new Reader(question.passages());
    List<String> truth = texts(question, question.truth());
    List<Integer> at = question.truth().stream().map(Evidence::sentence).toList();
    assertThat(at).isSorted();
    for (Evidence evidence : question.truth()) {
      assertThat(reader.sentences.get(evidence.sentence()))
          .isEqualTo(texts(question, List.of(evidence)).get(0));
    }
    List<Reader.Said> says = reader.says(relation, subject);
    List<Map.Entry<Integer, String>> links = reader.links(subject);
    assertThat(links).hasSizeLessThan(2);
    // What is quoted, in the order of the argument.
    List<String> quotes = List.of(truth.get(truth.size() - 1));
    switch (question.kind()) {
      case DIRECT -> {
        assertThat(says).containsExactly(new Reader.Said(at.get(0), question.answer()));
        noOtherWay(reader, relation, subject, at);
        assertThat(truth).hasSize(1);
      }
      case DUPLICATED -> {
        assertThat(says)
            .containsExactly(
                new Reader.Said(at.get(0), question.answer()),
                new Reader.Said(at.get(1), question.answer()));
        assertThat(truth.get(0)).isEqualTo(truth.get(1));
        assertThat(question.truth().get(0).part()).isNotEqualTo(question.truth().get(1).part());
        noOtherWay(reader, relation, subject, at);
      }
      case CONTRADICTED -> {
        assertThat(question.overridden()).hasSize(1);
        int earlier = question.overridden().get(0).sentence();
        assertThat(earlier).isLessThan(at.get(0));
        assertThat(says).hasSize(2);
        assertThat(says.get(1)).isEqualTo(new Reader.Said(at.get(0), question.answer()));
        assertThat(says.get(0).sentence()).isEqualTo(earlier);
        assertThat(says.get(0).object()).isNotEqualTo(question.answer());
        noOtherWay(reader, relation, subject, at);
      }
      case INJECTED -> {
        assertThat(truth).hasSize(1);
        assertThat(V1.lexicon().injections())
            .anyMatch(
                template ->
                    Lexicon.fill(template, Map.of("t", question.response())).equals(truth.get(0)));
        assertThat(new Reader(question.response()).says(relation, subject))
            .containsExactly(new Reader.Said(0, question.answer()));
        quotes = List.of(question.response());
        Passage own =
            question.passages().stream()
                .filter(passage -> passage.id().equals(question.truth().get(0).part()))
                .findFirst()
                .orElseThrow();
        assertThat(own.sentences()).hasSize(1);
        assertThat(says).hasSize(1);
        assertThat(says.get(0).sentence()).isEqualTo(question.overridden().get(0).sentence());
        assertThat(says.get(0).object()).isNotEqualTo(question.answer());
      }
      case ALIAS -> {
        // The subject's name says nothing of it; the alias does, and one sentence links them.
        assertThat(says).isEmpty();
        assertThat(links).hasSize(1);
        List<Reader.Said> ofAlias = reader.says(relation, links.get(0).getValue());
        assertThat(ofAlias).hasSize(1);
        assertThat(ofAlias.get(0).object()).isEqualTo(question.answer());
        assertThat(at).containsExactlyInAnyOrder(links.get(0).getKey(), ofAlias.get(0).sentence());
        assertThat(Says.word(reader.sentences.get(ofAlias.get(0).sentence()), subject)).isFalse();
        quotes =
            List.of(
                reader.sentences.get(links.get(0).getKey()),
                reader.sentences.get(ofAlias.get(0).sentence()));
        noOtherWay(reader, relation, subject, at);
      }
      case TWO_HOP -> {
        assertThat(says).isEmpty();
        List<Map.Entry<Integer, String>> hops = reader.hops(relation, subject);
        assertThat(hops).isNotEmpty();
        List<Map.Entry<Integer, String>> forward =
            hops.stream().filter(hop -> at.contains(hop.getKey())).toList();
        assertThat(forward).hasSize(1);
        List<Reader.Said> there = reader.says(relation, forward.get(0).getValue());
        assertThat(there)
            .containsExactly(
                new Reader.Said(
                    at.get(0).equals(forward.get(0).getKey()) ? at.get(1) : at.get(0),
                    question.answer()));
        quotes =
            List.of(
                reader.sentences.get(forward.get(0).getKey()),
                reader.sentences.get(there.get(0).sentence()));
        noOtherWay(reader, relation, subject, at);
      }
      default -> throw new AssertionError(question.kind());
    }
    assertThat(question.response()).isEqualTo(String.join(" ", quotes));
    assertThat(question.response()).startsWith(subject + " ");
  }

  /** Whoever is said to have the same object, but for the truth, is not said to have one. */
  private static void noOtherWay(
      Reader reader, Relation relation, String subject, List<Integer> truth) {
    for (Map.Entry<Integer, String> hop : reader.hops(relation, subject)) {
      if (!truth.contains(hop.getKey())) {
        assertThat(reader.says(relation, hop.getValue())).isEmpty();
        for (Map.Entry<Integer, String> link : reader.links(hop.getValue())) {
          assertThat(reader.says(relation, link.getValue())).isEmpty();
        }
      }
    }
  }

  private static List<String> texts(Question question, List<Evidence> evidence) {
    List<String> texts = new ArrayList<>();
    for (Evidence one : evidence) {
      for (Passage passage : question.passages()) {
        if (passage.id().equals(one.part())) {
          texts.add(one.span().in(passage.text()));
        }
      }
    }
    return texts;
  }

  /** A reader of contexts who knows the templates and nothing else. */
  private static final class Reader {
    private static final String NAME = "[A-Z][a-z]+";
    final List<String> sentences = new ArrayList<>();

    record Said(int sentence, String object) {}

    Reader(String sentence) {
      sentences.add(sentence);
    }

    Reader(List<Passage> passages) {
      for (Passage passage : passages) {
        for (Span span : passage.sentences()) {
          sentences.add(span.in(passage.text()));
        }
      }
    }

    /** What is said of a name or alias in a relation, in order. */
    List<Said> says(Relation relation, String name) {
      String value = relation.range() instanceof Range.Words ? "[A-Za-z ]+" : NAME;
      return found(relation.statements(), "s", name, "o", value).stream()
          .map(entry -> new Said(entry.getKey(), uncapitalised(relation, entry.getValue())))
          .toList();
    }

    List<Map.Entry<Integer, String>> links(String name) {
      return found(V1.lexicon().aliases(), "s", name, "a", NAME);
    }

    /** With whom it is said to share its object, whoever is named first. */
    List<Map.Entry<Integer, String>> hops(Relation relation, String name) {
      List<Map.Entry<Integer, String>> hops =
          new ArrayList<>(found(relation.hops(), "s", name, "p", NAME));
      hops.addAll(found(relation.hops(), "p", name, "s", NAME));
      return hops;
    }

    private List<Map.Entry<Integer, String>> found(
        List<String> templates, String slot, String name, String other, String value) {
      List<Map.Entry<Integer, String>> found = new ArrayList<>();
      for (int i = 0; i < sentences.size(); i++) {
        for (String template : templates) {
          String pattern =
              ("\\Q" + template + "\\E")
                  .replace("{" + slot + "}", "\\E(?:" + name + ")\\Q")
                  .replace(" a {" + other + "}", " \\Ean? \\Q{" + other + "}")
                  .replace("{" + other + "}", "\\E(" + value + ")\\Q");
          Matcher matcher = Pattern.compile(pattern).matcher(sentences.get(i));
          if (matcher.matches()) {
            found.add(Map.entry(i, matcher.group(1)));
            break;
          }
        }
      }
      return found;
    }

    private static String uncapitalised(Relation relation, String object) {
      return relation.range() instanceof Range.Words
          ? object.substring(0, 1).toLowerCase(java.util.Locale.ROOT) + object.substring(1)
          : object;
    }
  }

  @Property(tries = 200)
  void withoutAnAnswerTheContextNeitherStatesNorImpliesIt(
      @ForAll boolean known,
      @ForAll @IntRange(min = 1, max = 40) int sentences,
      @ForAll @LongRange(min = 0, max = 1_000_000) long index) {
    Kind kind = known ? Kind.NO_ANSWER_KNOWN : Kind.NO_ANSWER_UNKNOWN;
    Question question = new Questions(V1, evaluation(kind, sentences, sentences)).question(index);
    assertThat(question.truth()).isEmpty();
    String subject = question.fact().substring(0, question.fact().indexOf('.'));
    Relation relation =
        V1.lexicon().relation(question.fact().substring(question.fact().indexOf('.') + 1));
    Reader reader = new Reader(question.passages());
    assertThat(reader.says(relation, subject)).isEmpty();
    assertThat(reader.hops(relation, subject)).isEmpty();
    for (Map.Entry<Integer, String> link : reader.links(subject)) {
      assertThat(reader.says(relation, link.getValue())).isEmpty();
    }
    if (known) {
      Fact fact = V1.fact(question.fact());
      assertThat(question.answer()).isEqualTo(fact.object());
      assertThat(V1.isHeldOut(fact)).isFalse();
      assertThat(V1.isAskedInFineTuning(fact)).isFalse();
    } else {
      assertThat(NameSplit.of(subject)).isEqualTo(NameSplit.RESERVED);
    }
  }

  @Test
  void trainingAsksOnlyItsHalfOfTheFactsWithoutContext() {
    Questions questions =
        new Questions(
            V1, QuestionOptions.training(1).withMix(KindShare.equal(Kind.NO_ANSWER_KNOWN), 1, 1));
    Set<String> asked = new HashSet<>();
    int empty = 0;
    for (int i = 0; i < 400; i++) {
      Question question = questions.question(i);
      asked.add(question.fact());
      empty += question.passages().isEmpty() ? 1 : 0;
    }
    assertThat(asked)
        .hasSizeGreaterThan(150)
        .allMatch(id -> V1.isAskedInFineTuning(V1.fact(id)) && !V1.isHeldOut(V1.fact(id)));
    assertThat(empty).isBetween(83, 157); // .3 of 400, four standard deviations
  }

  @Test
  void noContextOfTrainingStatesAHeldOutFactOrAReservedName() {
    Questions questions = new Questions(V1, QuestionOptions.training(1));
    Pattern name = Pattern.compile("\\b[A-Z][a-z]+\\b");
    Set<String> words = new HashSet<>();
    List<Reader> ofMemory = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      Question question = questions.question(i);
      name.matcher(question.prompt()).results().forEach(match -> words.add(match.group()));
      if (question.kind() == Kind.NO_ANSWER_KNOWN && !question.passages().isEmpty()) {
        ofMemory.add(new Reader(question.passages()));
      }
    }
    Set<String> templates = new HashSet<>();
    name.matcher(V1.lexicon().relations() + " " + V1.lexicon().filler())
        .results()
        .forEach(match -> templates.add(match.group()));
    words.removeAll(templates);
    assertThat(words).hasSizeGreaterThan(300);
    for (String word : words) {
      boolean isPlain = !isName(word);
      assertThat(isPlain || NameSplit.of(word) == NameSplit.TRAINING).as(word).isTrue();
    }
    assertThat(ofMemory).isNotEmpty();
    for (Fact fact : V1.facts()) {
      if (V1.isHeldOut(fact)) {
        for (Reader reader : ofMemory) {
          for (String template : fact.relation().statements()) {
            assertThat(reader.sentences.contains(Wording.statement(fact, template).text()))
                .isFalse();
          }
        }
      }
    }
  }

  private static boolean isName(String word) {
    return TokenizerTexts.syllables(V1.lexicon(), word).size() > 1;
  }

  @Test
  void kindsComeAsOftenAsTheirWeightsSay() {
    List<KindShare> mix =
        List.of(new KindShare(Kind.DIRECT, 3), new KindShare(Kind.NO_ANSWER_UNKNOWN, 1));
    Questions questions = new Questions(V1, QuestionOptions.training(1).withMix(mix, 1, 1));
    Map<Kind, Integer> counts = new EnumMap<>(Kind.class);
    LongStream.range(0, 1000)
        .forEach(i -> counts.merge(questions.question(i).kind(), 1, Integer::sum));
    assertThat(counts.get(Kind.DIRECT)).isBetween(700, 800);
    assertThat(counts).containsOnlyKeys(Kind.DIRECT, Kind.NO_ANSWER_UNKNOWN);
  }

  @Test
  void halfOfTheOtherStatementsAreHard() {
    ContextOptions plain =
        new ContextOptions(
            20,
            20,
            1,
            6,
            new Sizes(60, 20, 15, 15),
            new Sizes(3, 3, 3, 3),
            List.of(1.0),
            0,
            false,
            0,
            0,
            0.5,
            0.35,
            0,
            0,
            0,
            0);
    Questions questions = new Questions(V1, evaluation(Kind.DIRECT, 20, 20).withContext(plain));
    int hard = 0;
    int others = 0;
    for (int i = 0; i < 200; i++) {
      Question question = questions.question(i);
      String subject = question.fact().substring(0, question.fact().indexOf('.'));
      Relation relation =
          V1.lexicon().relation(question.fact().substring(question.fact().indexOf('.') + 1));
      for (String sentence : new Reader(question.passages()).sentences) {
        boolean ofRelation =
            relation.statements().stream()
                .anyMatch(template -> Says.filled(template).matcher(sentence).find());
        boolean ofSubject = Says.word(sentence, subject);
        hard += ofRelation || ofSubject ? 1 : 0;
        others++;
      }
    }
    // The answer (one of 20), half of the 19 others (of the subject there are but 4 or 2 facts),
    // and of the other half those of the same relation by chance, about one in eleven.
    assertThat(hard / (double) others).isBetween(0.45, 0.6);
  }

  @Test
  void aQuestionIsAPureFunctionOfSeedAndIndex() {
    Questions questions = new Questions(V1, QuestionOptions.training(1));
    List<Question> forward = LongStream.range(0, 50).mapToObj(questions::question).toList();
    Questions again = new Questions(World.v1(1), QuestionOptions.training(1));
    for (int i = 49; i >= 0; i--) {
      assertThat(again.question(i)).isEqualTo(forward.get(i));
      assertThat(again.dialogue(i).training()).isEqualTo(questions.dialogue(i).training());
    }
    assertThat(new Questions(V1, QuestionOptions.training(2)).question(0))
        .isNotEqualTo(forward.get(0));
    assertThat(forward.stream().map(Question::prompt)).doesNotHaveDuplicates();
  }

  @Test
  void thePromptIsThatOfTheContract() {
    Passage one = new Passage("doc-1", "A b. C d.", List.of(new Span(0, 4), new Span(5, 9)));
    Passage two = new Passage("doc-2", "E f.", List.of(new Span(0, 4)));
    Question question =
        new Question(
            "q", Kind.DIRECT, List.of(one, two), "Who is it?", MANDEL, "x.y", List.of(), List.of());
    String prompt =
        """
        <|im_start|>user
        A b. C d.

        E f.

        Question: Who is it?<|im_end|>
        <|im_start|>assistant
        """;
    assertThat(question.prompt()).isEqualTo(prompt);
    TrainingText training = question.training();
    assertThat(training.text()).isEqualTo(prompt + "It is Mandel.<|im_end|>\n");
    assertThat(training.answers().stream().map(span -> span.in(training.text())))
        .containsExactly("Mandel.<|im_end|>");
    assertThat(training.questions().stream().map(span -> span.in(training.text())))
        .containsExactly("Question: Who is it?");
    assertThat(
            new Question("q", Kind.DIRECT, List.of(), "Who?", MANDEL, "x.y", List.of(), List.of())
                .prompt())
        .isEqualTo("<|im_start|>user\nQuestion: Who?<|im_end|>\n<|im_start|>assistant\n");
    Question second =
        new Question(
            "r",
            Kind.DIRECT,
            List.of(one, two),
            "Where?",
            new Reply("It is Boris.", new Span(6, 11), List.of(new Span(6, 12))),
            "x.z",
            List.of(),
            List.of());
    TrainingText dialogue = new Dialogue(List.of(question, second)).training();
    assertThat(dialogue.text())
        .isEqualTo(
            prompt
                + """
                It is Mandel.<|im_end|>
                <|im_start|>user
                Question: Where?<|im_end|>
                <|im_start|>assistant
                It is Boris.<|im_end|>
                """);
    assertThat(dialogue.answers().stream().map(span -> span.in(dialogue.text())))
        .containsExactly("Mandel.<|im_end|>", "Boris.<|im_end|>");
  }

  @Test
  void aConversationHasAPartForEachDocumentAndTheQuestionLast() {
    Question question = new Questions(V1, evaluation(Kind.TWO_HOP, 12, 12)).question(3);
    Conversation conversation = question.conversation();
    assertThat(conversation.messages()).hasSize(1);
    assertThat(conversation.messages().get(0).role()).isEqualTo("user");
    assertThat(ChatMl.prompt(conversation.messages().get(0).content()))
        .isEqualTo(question.prompt());
    assertThat(
            conversation.parts().filter(part -> part.kind() == PartKind.RETRIEVED).map(p -> p.id()))
        .containsExactlyElementsOf(question.passages().stream().map(Passage::id).toList());
    assertThat(conversation.response()).isEmpty();
    assertThat(question.answered().response())
        .isEqualTo(question.response())
        .matches("\\w+ .*\\b(\\w+)\\. \\1 .* " + question.answer() + "\\b.*\\.");
    assertThat(question.answered().finishReason()).isEqualTo("stop");
  }

  @Test
  void whatCanNotBeMadeIsRefusedWithTheReason() {
    assertThatThrownBy(() -> evaluation(Kind.TWO_HOP, 1, 1))
        .hasMessageContaining("TWO_HOP needs 2 sentences");
    assertThatThrownBy(() -> ContextOptions.ofSentences(5, 4)).hasMessageContaining("5 to 4");
    assertThatThrownBy(() -> new KindShare(Kind.DIRECT, 0)).hasMessageContaining("DIRECT");
    WorldOptions noneKnown =
        new WorldOptions(new Sizes(3, 3, 3, 3), 0.5, 1, List.of(1), 0.5, 0.1, 0.2);
    assertThatThrownBy(
            () ->
                new Questions(
                    World.v1(1, Lexicon.standard(), noneKnown), QuestionOptions.training(1)))
        .hasMessageContaining("v1");
  }

  private static QuestionOptions evaluation(Kind kind, int least, int most) {
    return QuestionOptions.evaluation(11, kind).withSentences(least, most);
  }

  private static QuestionOptions trainingAgainstMemory(Kind kind) {
    return QuestionOptions.training(11).withMix(KindShare.equal(kind), 1, 1).withMemory(1, true, 1);
  }
}
