package dev.whence.schemas;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import org.junit.jupiter.api.Test;

class TopicsTest {
  private final Topics topics = new Topics(Topics.DEFAULT_PREFIX);

  @Test
  void responsesAreKeptSevenDaysInTwelvePartitionsOfRecordsUpToEightMebibytes() {
    assertThat(topics.responses().name()).isEqualTo("whence.responses");
    assertThat(topics.responses().subject()).isEqualTo("whence.responses-value");
    assertThat(topics.responses().key()).isEqualTo("responseId");
    assertThat(topics.responses().partitions()).isEqualTo(12);
    assertThat(topics.responses().config())
        .isEqualTo(
            Map.of(
                "cleanup.policy", "delete",
                "retention.ms", "604800000",
                "max.message.bytes", "8388608"));
  }

  @Test
  void transfersKeepTheLastEventOfEachForNinetyDaysInOnePartition() {
    assertThat(topics.transfers().partitions()).isEqualTo(1);
    assertThat(topics.transfers().config())
        .containsEntry("cleanup.policy", "compact,delete")
        .containsEntry("retention.ms", "7776000000");
  }

  @Test
  void queriesAndPartialsAreKeptOneDayInEightPartitionsOfRecordsUpToSixteenMebibytes() {
    for (Topic topic : java.util.List.of(topics.influenceQueries(), topics.influencePartials())) {
      assertThat(topic.partitions()).isEqualTo(8);
      assertThat(topic.key()).isEqualTo("queryId");
      assertThat(topic.config())
          .isEqualTo(
              Map.of(
                  "cleanup.policy", "delete",
                  "retention.ms", "86400000",
                  "max.message.bytes", "16777216"));
      assertThat(topics.deadLettersOf(topic).maxMessageBytes()).isEqualTo(17 << 20);
    }
    assertThat(topics.influences().partitions()).isEqualTo(12);
    assertThat(topics.influences().config()).containsEntry("retention.ms", "2592000000");
  }

  @Test
  void onlyTheTopicBehindAStreamsStateKeepsItsNumberOfPartitions() {
    assertThat(topics.all())
        .filteredOn(Topic::partitionsFixed)
        .containsExactly(topics.influencePartials());
  }

  @Test
  void modelsAreCompactedInOnePartition() {
    assertThat(topics.models().partitions()).isEqualTo(1);
    assertThat(topics.models().config())
        .containsEntry("cleanup.policy", "compact")
        .doesNotContainKey("retention.ms");
  }

  @Test
  void aDeadLetterTopicTakesARecordThatJustFitItsSourceWithHeadersOnTop() {
    Topic deadLetters = topics.deadLettersOf(topics.escalations());

    assertThat(deadLetters.name()).isEqualTo("whence.dlq.attributions.escalated");
    assertThat(deadLetters.maxMessageBytes()).isEqualTo(9 << 20);
    assertThat(deadLetters.partitions()).isEqualTo(1);
    assertThat(deadLetters.value()).isEmpty();
    assertThat(deadLetters.config()).containsEntry("retention.ms", "2592000000");
  }

  @Test
  void everyNameHasThePrefixAndNoneComesTwice() {
    Topics other = new Topics("acme.prod.");

    assertThat(other.all()).extracting(Topic::name).doesNotHaveDuplicates();
    assertThat(other.all()).allMatch(topic -> topic.name().startsWith("acme.prod."));
    assertThat(other.all()).hasSize(17);
    assertThat(other.find("acme.prod.dlq.responses")).isPresent();
  }

  @Test
  void aTopicWithoutDeadLettersSaysSo() {
    assertThatThrownBy(() -> topics.deadLettersOf(topics.models()))
        .hasMessage("topic whence.models has no dead-letter topic");
  }

  @Test
  void aPrefixThatKafkaWouldRefuseIsRefused() {
    assertThatThrownBy(() -> new Topics("a b.")).hasMessageContaining("topic prefix");
  }
}
