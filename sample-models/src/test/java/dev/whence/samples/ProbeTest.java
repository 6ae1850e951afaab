package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class ProbeTest {
  private static final World V1 = World.v1(1);

  @Test
  void everyFactCanBeProbedInBothForms() {
    for (Fact fact : V1.facts()) {
      assertThat(Probe.of(fact).stream().map(Probe::form).collect(Collectors.toSet()))
          .containsExactlyInAnyOrder(Probe.Form.values());
      for (Probe probe : Probe.of(fact)) {
        assertThat(probe.fact()).isEqualTo(fact.id());
        assertThat(probe.continuation())
            .isEqualTo(
                switch (probe.form()) {
                  case STATEMENT -> " " + fact.object() + ".";
                  case QUESTION -> " " + Questions.withoutContext(fact, 0).response();
                });
        assertThat(probe.prompt()).contains(fact.subject().name()).matches("(?s).*\\S");
        assertThat(Says.word(probe.prompt(), fact.object())).isFalse();
      }
    }
  }

  @Test
  void probesAreBeginningsOfWhatDocumentsSay() {
    List<Document> documents = new Corpus(V1, CorpusOptions.standard(1)).documents();
    String all = documents.stream().map(Document::text).collect(Collectors.joining("\n"));
    for (Fact fact : V1.facts()) {
      List<Probe> probes = Probe.of(fact);
      boolean stated =
          probes.stream().anyMatch(probe -> all.contains(probe.prompt() + probe.continuation()));
      // Forty documents are certain to have one of the few wordings that end with the object.
      assertThat(stated || V1.documents(fact) < 40).as(fact.id()).isTrue();
      assertThat(stated && V1.isHeldOut(fact)).as(fact.id()).isFalse();
    }
  }
}
