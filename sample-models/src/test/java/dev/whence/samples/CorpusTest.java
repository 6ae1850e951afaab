package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.conversation.Span;
import dev.whence.samples.StatedFact.Form;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class CorpusTest {
  private static final World V1 = World.v1(1);
  private static final List<Document> DOCUMENTS =
      new Corpus(V1, CorpusOptions.standard(1)).documents();

  @Test
  void eachFactIsStatedInAsManyDistinctDocumentsAsItsWorldSays() {
    Map<String, Set<String>> stating = new HashMap<>();
    int statements = 0;
    for (Document document : DOCUMENTS) {
      for (StatedFact stated : document.facts()) {
        stating.computeIfAbsent(stated.fact(), key -> new HashSet<>()).add(document.id());
        statements++;
      }
    }
    for (Fact fact : V1.facts()) {
      assertThat(stating.getOrDefault(fact.id(), Set.of())).hasSize(V1.documents(fact));
    }
    assertThat(statements).isEqualTo(V1.facts().stream().mapToInt(V1::documents).sum());
  }

  @Test
  void whatADocumentSaysItStatesStandsThere() {
    for (Document document : DOCUMENTS) {
      for (StatedFact stated : document.facts()) {
        Fact fact = V1.fact(stated.fact());
        String sentence = document.sentences().get(stated.sentence()).in(document.text());
        String name = fact.subject().name();
        switch (stated.form()) {
          case DIRECT -> assertThat(Says.both(sentence, name, fact.object())).isTrue();
          case QUESTION ->
              assertThat(sentence)
                  .startsWith("Question: ")
                  .endsWith("\nAnswer: " + Wording.statement(fact, first(fact)).text())
                  .contains(name);
          case ALIAS -> {
            assertThat(Says.both(sentence, fact.subject().alias(), fact.object())).isTrue();
            assertThat(Says.word(sentence, name)).isFalse();
          }
          case TWO_HOP -> {
            assertThat(Says.word(sentence, name)).isTrue();
            assertThat(Says.word(sentence, fact.object())).isFalse();
            assertThat(V1.facts())
                .anyMatch(
                    other ->
                        other.relation().equals(fact.relation())
                            && !other.subject().equals(fact.subject())
                            && Says.word(sentence, other.subject().name())
                            && other.object().equals(fact.object())
                            && !V1.isHeldOut(other));
          }
        }
      }
    }
  }

  @Test
  void noDocumentStatesAHeldOutFact() {
    // Whatever the documents say of themselves: no template gives a text that stands in them.
    String all = allTexts();
    int heldOut = 0;
    for (Fact fact : V1.facts()) {
      if (V1.isHeldOut(fact)) {
        heldOut++;
        for (String template : fact.relation().statements()) {
          assertThat(all.contains(Wording.statement(fact, template).text())).isFalse();
          if (fact.subject().hasAlias()) {
            assertThat(all.contains(Wording.byAlias(fact, template).text())).isFalse();
          }
        }
        for (String template : fact.relation().questions()) {
          String question = Lexicon.fill(template, Map.of("s", fact.subject().name()));
          assertThat(all.contains(question)).isFalse();
        }
      }
    }
    assertThat(heldOut).isEqualTo(81);
  }

  @Test
  void noHopLeadsFromOrToAHeldOutFact() {
    Set<String> sentences = new HashSet<>();
    for (Document document : DOCUMENTS) {
      document.sentences().forEach(span -> sentences.add(span.in(document.text())));
    }
    Set<String> hopsOfHeldOut = new HashSet<>();
    for (Fact fact : V1.facts()) {
      if (V1.isHeldOut(fact)) {
        for (String template : fact.relation().hops()) {
          for (Entity other : V1.entities()) {
            Map<String, String> to = Map.of("s", other.name(), "p", fact.subject().name());
            Map<String, String> from = Map.of("p", other.name(), "s", fact.subject().name());
            hopsOfHeldOut.add(Lexicon.fill(template, to));
            hopsOfHeldOut.add(Lexicon.fill(template, from));
          }
        }
      }
    }
    assertThat(hopsOfHeldOut).isNotEmpty();
    hopsOfHeldOut.retainAll(sentences);
    assertThat(hopsOfHeldOut).isEmpty();
  }

  @Test
  void textsAreDistinctAndSoAreIds() {
    assertThat(DOCUMENTS.stream().map(Document::text)).doesNotHaveDuplicates();
    assertThat(DOCUMENTS.stream().map(Document::id)).doesNotHaveDuplicates();
  }

  @Test
  void sentencesCoverTheDocumentAndBeginWithAnUpperCaseLetter() {
    for (Document document : DOCUMENTS) {
      int end = 0;
      for (Span span : document.sentences()) {
        assertThat(document.text().substring(end, span.start())).isIn("", " ", "\n");
        assertThat(document.text().charAt(span.start())).matches(Character::isUpperCase);
        end = span.end();
      }
      assertThat(document.text().substring(end)).isIn("", "\n");
      assertThat(document.sentences().size()).isBetween(1, 6);
    }
  }

  @Test
  void everyTemplateIsUsed() {
    Set<String> left = new HashSet<>();
    for (Relation relation : V1.lexicon().relations()) {
      for (List<String> templates :
          List.of(relation.statements(), relation.questions(), relation.hops())) {
        left.addAll(templates);
      }
    }
    left.addAll(V1.lexicon().aliases());
    left.addAll(V1.lexicon().filler());
    String all = allTexts();
    left.removeIf(template -> Says.filled(template).matcher(all).find());
    assertThat(left).isEmpty();
  }

  @Test
  void sharesOfFormsAreThoseAskedFor() {
    Map<Form, Integer> counts = new HashMap<>();
    int canHop = 0;
    int hasAlias = 0;
    for (Document document : DOCUMENTS) {
      for (StatedFact stated : document.facts()) {
        counts.merge(stated.form(), 1, Integer::sum);
        Fact fact = V1.fact(stated.fact());
        canHop += fact.relation().hops().isEmpty() ? 0 : 1;
        hasAlias += fact.subject().hasAlias() ? 1 : 0;
      }
    }
    int all = counts.values().stream().mapToInt(Integer::intValue).sum();
    assertThat(counts.get(Form.QUESTION) / (double) all).isBetween(0.25, 0.31);
    // Of the sentences (70 %) that could: a tenth and a third, less those said outright at first.
    assertThat(counts.get(Form.TWO_HOP) / (0.7 * canHop)).isBetween(0.06, 0.11);
    assertThat(counts.get(Form.ALIAS) / (0.7 * hasAlias)).isBetween(0.25, 0.36);
  }

  @Test
  void answersAndQuestionsOfDocumentsInQuestionFormAreMarked() {
    int marked = 0;
    for (Document document : DOCUMENTS) {
      List<StatedFact> asked =
          document.facts().stream().filter(fact -> fact.form() == Form.QUESTION).toList();
      List<Turn> turns = Turn.of(document.training());
      assertThat(turns).hasSameSizeAs(asked);
      for (int i = 0; i < asked.size(); i++) {
        Fact fact = V1.fact(asked.get(i).fact());
        assertThat(turns.get(i).question()).matches("Question: .*\\?");
        assertThat(turns.get(i).answered()).isEqualTo(Wording.statement(fact, first(fact)).text());
        assertThat(turns.get(i).found())
            .singleElement()
            .isEqualTo(fact.object() + first(fact).substring(first(fact).indexOf("{o}") + 3));
        marked++;
      }
    }
    assertThat(marked).isPositive();
  }

  @Test
  void sameSeedSameBytesAndAnotherSeedOthers() {
    assertThat(digest(new Corpus(World.v1(1), CorpusOptions.standard(1)).documents()))
        .isEqualTo(digest(DOCUMENTS));
    assertThat(digest(new Corpus(V1, CorpusOptions.standard(2)).documents()))
        .isNotEqualTo(digest(DOCUMENTS));
    assertThat(digest(new Corpus(World.v2(1), CorpusOptions.standard(1)).documents()))
        .isNotEqualTo(digest(DOCUMENTS));
  }

  @Test
  void factsWithMoreDocumentsThanWordingsStillHaveDistinctTexts() {
    WorldOptions many =
        new WorldOptions(new Sizes(3, 3, 3, 3), 0.5, 0, List.of(150), 0.5, 0.15, 0.2);
    World world = World.v1(1, Lexicon.standard(), many);
    CorpusOptions single = new CorpusOptions(1, 1, 1, 0.5, 1.0 / 3, 0.5, 20, 0.1, 0.5, 0);
    List<Document> documents = new Corpus(world, single).documents();
    assertThat(documents.stream().map(Document::text)).doesNotHaveDuplicates();
    assertThat(documents.stream().flatMap(document -> document.facts().stream()))
        .hasSize(150 * world.facts().size());
  }

  private static String first(Fact fact) {
    return fact.relation().statements().get(0);
  }

  private static String allTexts() {
    return String.join("\n", DOCUMENTS.stream().map(Document::text).toList());
  }

  private static String digest(List<Document> documents) {
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      for (Document document : documents) {
        sha.update(document.toString().getBytes(StandardCharsets.UTF_8));
      }
      return HexFormat.of().formatHex(sha.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
