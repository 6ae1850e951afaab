package dev.whence.runtime.topics;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import dev.whence.schemas.Topics;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
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

/** With a broker that lets topics be made and not be looked at. */
@Timeout(120)
class TopicAdminIT {
  @TempDir private Path directory;

  @Test
  void whoMayCreateTopicsAndNotDescribeThemStillRegistersTheirSchemasAndWaitsForNothing()
      throws Exception {
    Topics topics = new Topics("unseen.");
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
        Admin admin = Admin.create(Map.of("bootstrap.servers", broker.bootstrapServers()))) {
      admin.createAcls(List.of(onlyCreate("unseen."))).all().get();
      Clients clients = new Clients(Connection.of(broker.bootstrapServers(), registry.url()));
      long began = System.nanoTime();

      List<TopicState> states =
          new TopicAdmin(clients, List.of(topics.responses(), topics.attributions())).create();

      assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(30));
      assertThat(states)
          .extracting(state -> state.name() + " " + state.kind())
          .containsExactly(
              "unseen.responses CREATED",
              "unseen.attributions CREATED",
              "unseen.responses-value CREATED",
              "unseen.attributions-value CREATED");
    }
  }

  private static AclBinding onlyCreate(String prefix) {
    return new AclBinding(
        new ResourcePattern(ResourceType.TOPIC, prefix, PatternType.PREFIXED),
        new AccessControlEntry(
            "User:ANONYMOUS", "*", AclOperation.CREATE, AclPermissionType.ALLOW));
  }
}
