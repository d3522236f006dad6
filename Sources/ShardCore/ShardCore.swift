// ShardCore
