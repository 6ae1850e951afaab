package dev.whence.producer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.LlmResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** With a broker that lets nobody write until it is told to. */
@Timeout(120)
class PermissionIT {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  @TempDir private Path directory;

  @Test
  void responsesWaitForThePermissionToWrite() throws Exception {
    Topic topic = new Topics("acl.").responses();
    try (EmbeddedBroker broker =
            EmbeddedBroker.open(
                directory.resolve("kafka"),
                0,
                Map.of(
                    "authorizer.class.name",
                    "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                    "allow.everyone.if.no.acl.found",
                    "true"));
        EmbeddedRegistry registry = EmbeddedRegistry.open(directory.resolve("registry"));
        Admin admin = Admin.create(Map.of("bootstrap.servers", broker.bootstrapServers()));
        LogLines log = LogLines.of(Sender.class)) {
      admin
          .createTopics(List.of(new NewTopic(topic.name(), 3, (short) 1).configs(topic.config())))
          .all()
          .get();
      allow(admin, topic, AclOperation.DESCRIBE);
      try (Whence whence =
          Whence.builder()
              .bootstrapServers(broker.bootstrapServers())
              .schemaRegistry(registry.url())
              .topicPrefix("acl.")
              .autoRegisterSchemas(true)
              .build()) {
        List<CompletableFuture<Delivery>> deliveries =
            IntStream.range(0, 10).mapToObj(i -> whence.record(response("r-" + i))).toList();
        await().atMost(PATIENCE).until(() -> !log.lines().isEmpty());
        assertThat(log.lines())
            .containsExactly("Responses wait in the queue: TopicAuthorizationException; trying on");
        assertThat(whence.counters().queuedResponses()).isEqualTo(10);

        allow(admin, topic, AclOperation.WRITE);

        assertThat(deliveries).allSatisfy(each -> assertThat(each).succeedsWithin(PATIENCE));
        assertThat(whence.counters()).isEqualTo(new Counters(10, 10, 0, 0, 0, 0));
      }
      // Once each: the ends of the partitions are the number of records.
      assertThat(deliveredTo(admin, topic)).isEqualTo(10);
    }
  }

  private static long deliveredTo(Admin admin, Topic topic) throws Exception {
    long records = 0;
    for (int partition = 0; partition < 3; partition++) {
      var place = new TopicPartition(topic.name(), partition);
      records +=
          admin
              .listOffsets(Map.of(place, OffsetSpec.latest()))
              .partitionResult(place)
              .get()
              .offset();
    }
    return records;
  }

  /** Who is named by an entry may do what it says, and nothing else, to the topic. */
  private static void allow(Admin admin, Topic topic, AclOperation operation) throws Exception {
    admin
        .createAcls(
            List.of(
                new AclBinding(
                    new ResourcePattern(ResourceType.TOPIC, topic.name(), PatternType.LITERAL),
                    new AccessControlEntry(
                        "User:ANONYMOUS", "*", operation, AclPermissionType.ALLOW))))
        .all()
        .get();
  }

  private static LlmResponse response(String id) {
    return new LlmResponseBuilder().responseId(id).user("q").answer("a", "stop").build();
  }
}
