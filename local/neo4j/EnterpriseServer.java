import java.util.Collection;
import java.util.Collections;
import org.neo4j.kernel.GraphDatabaseDependencies;
import org.neo4j.kernel.configuration.Config;
import org.neo4j.kernel.configuration.ConfigurationValidator;
import org.neo4j.logging.LogProvider;
import org.neo4j.server.NeoServer;
import org.neo4j.server.ServerBootstrapper;
import org.neo4j.server.enterprise.OpenEnterpriseNeoServer;

/** The entry point that Maven Central lacks: the server of the Enterprise jars, with the arguments of the official one. */
public final class EnterpriseServer extends ServerBootstrapper {
    public static void main(String[] args) {
        int status = ServerBootstrapper.start(new EnterpriseServer(), args);
        if (status != 0) {
            System.exit(status);
        }
    }

    @Override
    protected NeoServer createNeoServer(Config config, GraphDatabaseDependencies dependencies, LogProvider log) {
        return new OpenEnterpriseNeoServer(config, dependencies, log);
    }

    @Override
    protected Collection<ConfigurationValidator> configurationValidators() {
        return Collections.emptyList();
    }
}
